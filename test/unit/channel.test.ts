import assert from "node:assert/strict";
import { describe, it } from "node:test";
import { encodeFrame, FrameReader, MAX_FRAME_BYTES } from "../../src/channel/frames.ts";
import {
  BadQuestionError,
  decodeQuestion,
  encodeQuestion,
  QUESTION_BYTES,
  QUESTION_KINDS,
  type Question,
} from "../../src/channel/questions.ts";
import { RecordReader } from "../../src/channel/records.ts";

const WHOLE: Omit<Question, "kind"> = {
  id: 0xffff_ffff,
  cookie: 2n ** 64n - 1n,
  inum: 4_026_531_840,
  pids: [1, 2, 3, 1 << 22],
  protocol: 17,
  port: 8080,
  range: { low: 40_000, high: 40_015 },
  atMs: 1.5,
  peer: { address: Uint8Array.from({ length: 16 }, (_, index) => index), port: 65_535 },
};

describe("a question", () => {
  it("is the same after its way, of each kind", () => {
    for (const kind of QUESTION_KINDS) {
      const question = { kind, ...WHOLE };
      const bytes = encodeQuestion(question);
      assert.equal(bytes.length, QUESTION_BYTES);
      assert.deepEqual(decodeQuestion(bytes), question);
    }
  });

  it("has its numbers where they are documented, whatever else changes", () => {
    const hex = Buffer.from(encodeQuestion({ kind: "use", ...WHOLE })).toString("hex");
    const words = [
      ...["06000000", "ffffffff", "ffffffffffffffff", "000000f0"],
      ...["01000000", "02000000", "03000000", "00004000", "1100", "901f", "ffff", "0100"],
      ...["000102030405060708090a0b0c0d0e0f", "409c", "4f9c", "000000000000f83f"],
    ];
    assert.equal(hex, words.join(""));
  });

  it("does not have what it was asked without", () => {
    const least = { kind: "alive", id: 0 } as const;
    assert.deepEqual(decodeQuestion(encodeQuestion(least)), least);
    for (const name of [
      "cookie",
      "inum",
      "pids",
      "protocol",
      "port",
      "range",
      "atMs",
      "peer",
    ] as const) {
      const { [name]: _, ...rest } = { kind: "report" as const, ...WHOLE };
      assert.deepEqual(decodeQuestion(encodeQuestion(rest)), rest);
    }
  });

  it("may have a peer of zeros, which is not none", () => {
    const peer = { address: new Uint8Array(16), port: 0 };
    assert.deepEqual(decodeQuestion(encodeQuestion({ kind: "use", id: 1, peer })).peer, peer);
  });

  it("may have a range with one bound", () => {
    for (const range of [
      { low: 40_000, high: 0 },
      { low: 0, high: 40_000 },
    ]) {
      const question = { kind: "use", id: 1, range } as const;
      assert.deepEqual(decodeQuestion(encodeQuestion(question)), question);
    }
  });

  it("has at most four processes", () => {
    const bytes = encodeQuestion({ kind: "place", id: 1, pids: [1, 2, 3, 4, 5] });
    assert.deepEqual(decodeQuestion(bytes), { kind: "place", id: 1, pids: [1, 2, 3, 4] });
  });

  it("does not keep what it came with", () => {
    const piece = Buffer.concat([encodeQuestion({ kind: "use", ...WHOLE }), Buffer.alloc(65_536)]);
    const { peer } = decodeQuestion(piece.subarray(0, QUESTION_BYTES));
    assert.equal(peer?.address.buffer.byteLength, 16);
  });

  const put = (at: number, ...values: readonly number[]) => {
    const bytes = encodeQuestion({ kind: "use", id: 1 });
    bytes.set(values, at);
    return bytes;
  };
  const cases: readonly [string, Uint8Array, RegExp][] = [
    ["no kind", put(0, 0), /there is no kind 0/],
    ["a kind that is not there", put(0, QUESTION_KINDS.length + 1), /there is no kind 12/],
    ["another protocol", put(36, 1), /protocol 1$/],
    ["a gap in its processes", put(24, 7), /pids have a gap/],
    ["a process that cannot be", put(20, 1, 0, 0x40), /no process has the number 4194305/],
    ["half a peer", put(42, 2), /peer 2/],
    ["a port without a peer", put(40, 1), /unused bytes are not 0/],
    ["an address without a peer", put(44, 1), /unused bytes are not 0/],
    ["a range that ends before it begins", put(60, 2, 0, 1, 0), /ports 2 to 1/],
    ["a time that is no number", put(70, 0xf8, 0x7f), /no such time/],
    ["a time before there was any", put(70, 0xf0, 0xbf), /no such time/],
    ["a time that never comes", put(70, 0xf0, 0x7f), /no such time/],
    ["less than its size", put(0).subarray(1), /it has 71 bytes/],
    ["more than its size", new Uint8Array(QUESTION_BYTES + 1), /it has 73 bytes/],
    ["nothing in it", new Uint8Array(), /it has 0 bytes/],
  ];
  for (const [what, bytes, message] of cases) {
    it(`is refused with ${what}`, () => {
      assert.throws(
        () => decodeQuestion(bytes),
        (error) => error instanceof BadQuestionError && message.test(error.message),
      );
    });
  }
});

describe("records", () => {
  it("come out whole, however they are cut", () => {
    const bytes = Buffer.from(Array.from({ length: 3 * QUESTION_BYTES + 5 }, (_, at) => at % 251));
    for (const cut of [1, 63, 64, 65, 128, bytes.length]) {
      const reader = new RecordReader();
      const records: Buffer[] = [];
      for (let at = 0; at < bytes.length; at += cut) {
        records.push(...reader.read(bytes.subarray(at, at + cut)));
      }
      assert.deepEqual(Buffer.concat(records), bytes.subarray(0, 3 * QUESTION_BYTES));
      assert.ok(records.every(({ length }) => length === QUESTION_BYTES));
    }
  });
});

describe("frames", () => {
  const body = { answer: { cookie: 2n ** 63n, absent: undefined, rows: [1.5, "x"] } };

  it("come out whole, however they are cut", () => {
    const frames = [
      { id: 0, body: { news: "busy" } },
      { id: 0xffff_ffff, body },
      { id: 1, body: undefined },
    ];
    const bytes = Buffer.concat(frames.map((frame) => encodeFrame(frame)));
    for (const cut of [1, 7, 8, 9, bytes.length]) {
      const reader = new FrameReader();
      const read: unknown[] = [];
      for (let at = 0; at < bytes.length; at += cut) {
        read.push(...reader.read(bytes.subarray(at, at + cut)));
      }
      assert.deepEqual(read, frames);
    }
  });

  it("are bounded at both ends", () => {
    const text = "x".repeat(MAX_FRAME_BYTES);
    assert.throws(() => encodeFrame({ id: 1, body: text }), /write frame: it would have 1677\d+ b/);
    const header = Buffer.alloc(8);
    header.writeUInt32LE(MAX_FRAME_BYTES - 7);
    assert.throws(() => new FrameReader().read(header), /read frame: it would have 16777217 bytes/);
    header.writeUInt32LE(MAX_FRAME_BYTES - 8);
    assert.deepEqual(new FrameReader().read(header), []);
  });

  it("are of what can be copied", () => {
    assert.throws(() => encodeFrame({ id: 1, body: () => {} }), /could not be cloned/);
  });
});
