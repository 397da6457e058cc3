import assert from "node:assert/strict";
import { execFileSync } from "node:child_process";
import { readFileSync } from "node:fs";
import { join } from "node:path";
import { test } from "node:test";
import { fileURLToPath } from "node:url";
import {
  checkLayout,
  generateLayouts,
  RecordBatch,
  RingBuffer,
  structLayout,
} from "../src/index.ts";
import { generatedPath, generateTestLayouts } from "./generate.ts";
import {
  decodeEverything,
  decodeEverythingColumns,
  everythingColumnCount,
  everythingColumns,
  everythingLayout,
} from "./generated/layouts.ts";
import { openTestObject, packet, testBtf } from "./support.ts";

/** The package's folder: the tests run from build/test. */
const PACKAGE = fileURLToPath(new URL("../..", import.meta.url));
const ROOT = join(PACKAGE, "../..");

test("the generated file is what the generator writes now", () => {
  assert.equal(readFileSync(generatedPath(PACKAGE), "utf8"), generateTestLayouts());
});

test("the generated text is as Biome formats it, also for structs of real size", () => {
  const events = generateLayouts(
    testBtf("events"),
    ["connect_event", "challenge_ack_event", "conntrack_insert_failed_event"],
    { source: "bpf/include/events.h", enums: ["attribution", "event_type"] },
  );
  for (const text of [events, generateTestLayouts()]) {
    const file = "src/libbpf-ts/test/generated/x.ts";
    const options = { cwd: ROOT, input: text, stdio: "pipe" as const };
    const biome = join(ROOT, "node_modules/.bin/biome");
    const checked = execFileSync(biome, ["check", "--write", `--stdin-file-path=${file}`], options);
    assert.equal(checked.toString(), text);
  }
  assert.match(events, /3: "flow_owner",\n/);
  assert.match(events, /export function decodeConnectEventColumns\(/);
  assert.doesNotMatch(events, /readonly pad\b/);
});

function withRecord(use: (ring: RingBuffer, batch: RecordBatch) => void): void {
  const loaded = openTestObject("layouts").load();
  const ring = RingBuffer.map(loaded.map("ring"));
  // The second record lies at another offset than 0.
  loaded.program("fill").testRun({ data: packet(), repeat: 2 });
  const batch = new RecordBatch(2);
  assert.equal(ring.take(batch), 2);
  use(ring, batch);
  ring.close();
  loaded.close();
}

test("a decoded object has every value that the program wrote", () => {
  withRecord((ring, batch) => {
    const expected = {
      u8: 200,
      s8: -100,
      u16: 60_000,
      s16: -30_000,
      yes: true,
      u32: 4_000_000_000,
      s32: -2_000_000_000,
      u64: 2n ** 63n,
      s64: -5_000_000_000n,
      text: "hi",
      full: "xxxx",
      raw: new Uint8Array([0, 0, 0, 9]),
      numbers: new Uint16Array([0, 0, 65_535]),
      point: { x: 0, y: -7 },
      points: [
        { x: 0, y: 0 },
        { x: -8, y: 0 },
      ],
      color: 4,
      level: 0xffffffff,
      either: 0x00020001,
      orElse: new Uint16Array([1, 2]),
      anonymous: { inside: 11 },
      both: { word: 0x0102, byte: 2 },
      low: 5,
      middle: 0xabcde,
      negative: -9,
      wide: 0x8123456789n,
      address: 0xffff888000000001n,
      grid: new Uint8Array([0, 0, 0, 0, 0, 6]),
    };
    for (const at of batch.offsets) assert.deepEqual(decodeEverything(ring.views, at), expected);
  });
});

test("a row of columns has the same numbers", () => {
  withRecord((ring, batch) => {
    const out = new Float64Array(2 * everythingColumnCount);
    decodeEverythingColumns(ring.views, batch.offsets, batch.count, out);
    for (const base of [0, everythingColumnCount]) {
      const column = (name: keyof typeof everythingColumns) => out[base + everythingColumns[name]];
      assert.equal(column("u8"), 200);
      assert.equal(column("s8"), -100);
      assert.equal(column("s16"), -30_000);
      assert.equal(column("yes"), 1);
      assert.equal(column("u32"), 4_000_000_000);
      assert.equal(column("u64"), 2 ** 63);
      assert.equal(column("s64"), -5_000_000_000);
      assert.equal(column("pointY"), -7);
      assert.equal(column("anonymousInside"), 11);
      assert.equal(column("middle"), 0xabcde);
      assert.equal(column("negative"), -9);
      assert.equal(column("wide"), 0x8123456789);
    }
  });
});

test("a layout of another build is refused by its first difference", () => {
  const btf = testBtf("layouts");
  checkLayout(everythingLayout, btf);
  assert.deepEqual(structLayout(btf, "everything"), everythingLayout);
  const [first, ...rest] = everythingLayout.fields;
  assert.ok(first !== undefined);
  const fails = (fields: typeof everythingLayout.fields, size: number, message: RegExp) =>
    assert.throws(() => checkLayout({ name: "everything", size, fields }, btf), message);
  const { fields, size } = everythingLayout;
  fails([{ ...first, kind: "i8" }, ...rest], size, /everything\.u8: kind u8 in the object, i8 in/);
  fails(rest, size, /everything\.s8: name u8 in the object, s8 in the generated code/);
  fails(fields.slice(0, -1), size, /everything\.grid: missing in the generated code/);
  fails([...fields, { ...first, name: "x" }], size, /everything\.x: missing in the object/);
  fails(fields, size + 8, /everything: size 120 in the object, 128 in the generated code/);
  const moved = fields.map((field) => {
    if (field.struct === undefined || field.name !== "point") return field;
    const [x, y] = field.struct.fields;
    assert.ok(x !== undefined && y !== undefined);
    return { ...field, struct: { ...field.struct, fields: [x, { ...y, offset: 4 }] } };
  });
  fails(moved, size, /everything\.point\.y: offset 2 in the object, 4 in the generated code/);
  assert.throws(() => checkLayout({ ...everythingLayout, name: "gone" }, btf), { code: "ENOENT" });
});

test("what cannot be generated is said by name", () => {
  const btf = testBtf("layouts");
  const generate = (structs: string[], options: object) => () =>
    generateLayouts(btf, structs, { source: "x", ...options });
  assert.throws(generate(["nope"], {}), /find struct nope in layouts: ENOENT/);
  assert.throws(generate(["point"], { enums: ["nope"] }), /enum nope in layouts: ENOENT/);
  assert.throws(
    generate(["point"], { columns: { point: ["z"] } }),
    /z of point: ENOENT: known: x, y/,
  );
  assert.throws(generate(["packed"], {}), /packed.number: EINVAL: not aligned to 4 bytes/);
});

test("columns can be chosen", () => {
  const text = generateLayouts(testBtf("layouts"), ["everything"], {
    source: "x",
    columns: { everything: ["point.y", "u64"] },
  });
  assert.match(text, /everythingColumns = \{\n {2}pointY: 0,\n {2}u64: 1,\n\} as const/);
  assert.match(text, /everythingColumnCount = 2;/);
});
