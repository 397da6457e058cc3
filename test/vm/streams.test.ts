import assert from "node:assert/strict";
import { PassThrough } from "node:stream";
import { test } from "node:test";
import { linePrefixer, readUntilMark } from "./streams.ts";

const MARK = "\0end 42";

test("the mark is left out however the stream is cut", async () => {
  const whole = `one\0two\0end 4 three${MARK}`;
  for (let size = 1; size <= whole.length; size++) {
    const stream = new PassThrough();
    let got = "";
    const done = readUntilMark(stream, MARK, (chunk) => {
      got += chunk;
    });
    for (let at = 0; at < whole.length; at += size) stream.write(whole.slice(at, at + size));
    await done;
    assert.equal(got, "one\0two\0end 4 three", `pieces of ${size}`);
  }
});

test("a stream that ends without the mark is passed on whole", async () => {
  const stream = new PassThrough();
  let got = "";
  const done = readUntilMark(stream, MARK, (chunk) => {
    got += chunk;
  });
  stream.end("text\0end");
  await done;
  assert.equal(got, "text\0end");
});

test("a prefix comes before whole lines, also where a character is cut in two", () => {
  let got = "";
  const prefixer = linePrefixer("[x] ", (text) => {
    got += text;
  });
  const bytes = Buffer.from("é1\n\nlast");
  prefixer.push(bytes.subarray(0, 1));
  prefixer.push(bytes.subarray(1));
  assert.equal(got, "[x] é1\n[x] \n");
  prefixer.flush();
  assert.equal(got, "[x] é1\n[x] \n[x] last\n");
});
