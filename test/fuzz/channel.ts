import assert from "node:assert/strict";
import fc from "fast-check";
import { encodeFrame, type Frame, FrameReader, MAX_FRAME_BYTES } from "../../src/channel/frames.ts";
import {
  BadQuestionError,
  decodeQuestion,
  encodeQuestion,
  MAX_PIDS,
  QUESTION_BYTES,
  QUESTION_KINDS,
  type Question,
} from "../../src/channel/questions.ts";
import { RecordReader } from "../../src/channel/records.ts";
import { type Asked, QuestionSockets } from "../support/channel.ts";
import { type FuzzTarget, unless } from "./target.ts";

const u32 = fc.nat(0xffff_ffff);

const question: fc.Arbitrary<Question> = fc.record(
  {
    kind: fc.constantFrom(...QUESTION_KINDS),
    id: u32,
    cookie: fc.bigInt({ min: 1n, max: 2n ** 64n - 1n }),
    inum: fc.integer({ min: 1, max: 0xffff_ffff }),
    pids: fc.array(fc.integer({ min: 1, max: 1 << 22 }), { minLength: 1, maxLength: MAX_PIDS }),
    protocol: fc.constantFrom(6, 17),
    peer: fc.record(
      { address: fc.uint8Array({ minLength: 16, maxLength: 16 }), port: fc.nat(0xffff) },
      { noNullPrototype: true },
    ),
    permille: fc.integer({ min: 1, max: 1000 }),
  },
  { requiredKeys: ["kind", "id"], noNullPrototype: true },
);

const sound = question.map((one) => encodeQuestion(one));

/** Of a sound question, some bytes are others. */
const mutated = fc
  .tuple(
    sound,
    fc.array(fc.tuple(fc.nat(QUESTION_BYTES - 1), fc.constantFrom(0, 1, 2, 6, 17, 64, 255)), {
      minLength: 1,
      maxLength: 4,
    }),
  )
  .map(([bytes, changes]) => {
    for (const [at, value] of changes) bytes[at] = value;
    return bytes;
  });

const anyRecord = fc.oneof(
  mutated,
  fc.uint8Array({ minLength: QUESTION_BYTES, maxLength: QUESTION_BYTES }),
);
const anyBytes = fc.oneof(anyRecord, fc.uint8Array({ maxLength: 2 * QUESTION_BYTES }));

/** Lengths of the pieces in which a stream hands over, in turn. */
const cuts = fc.array(fc.oneof(fc.integer({ min: 1, max: 8 }), fc.integer({ min: 1, max: 300 })), {
  minLength: 1,
  maxLength: 8,
});

function* piecesOf(bytes: Buffer, lengths: readonly number[]): Generator<Buffer> {
  for (let at = 0, turn = 0; at < bytes.length; turn++) {
    const length = lengths[turn % lengths.length] ?? 1;
    yield bytes.subarray(at, at + length);
    at += length;
  }
}

function decoded(bytes: Uint8Array): Question | undefined {
  return unless(
    (error) => error instanceof BadQuestionError,
    () => decodeQuestion(bytes),
  );
}

const body = fc.oneof(
  fc.jsonValue({ maxDepth: 3 }),
  fc.dictionary(fc.string(), fc.oneof(fc.bigInt(), fc.constant(undefined), fc.double()), {
    noNullPrototype: true,
  }),
);
const frame = fc.record({ id: u32, body }, { noNullPrototype: true });

/** What the two processes of the daemon say to each other. */
export const channel: FuzzTarget = {
  name: "channel",
  weight: 2,
  create: () =>
    fc.property(
      anyBytes,
      fc.array(fc.oneof(sound, anyRecord), { maxLength: 6 }),
      fc.array(frame, { maxLength: 4 }),
      cuts,
      fc.integer({ min: MAX_FRAME_BYTES - 7, max: 0xffff_ffff }),
      (bytes, records, frames, lengths, tooLong) => {
        const known = decoded(bytes);
        if (known !== undefined) assert.deepEqual(encodeQuestion(known), Uint8Array.from(bytes));
        checkRecords(records, bytes, lengths);
        checkFrames(frames, lengths, tooLong);
      },
    ),
};

function checkRecords(
  records: readonly Uint8Array[],
  rest: Uint8Array,
  lengths: readonly number[],
): void {
  const reader = new RecordReader();
  const all = Buffer.concat([...records, rest.subarray(0, QUESTION_BYTES - 1)]);
  const read = [...piecesOf(all, lengths)].flatMap((piece) => reader.read(piece));
  assert.deepEqual(
    read.map((record) => record.toString("hex")),
    records.map((record) => Buffer.from(record).toString("hex")),
  );
}

function checkFrames(frames: readonly Frame[], lengths: readonly number[], tooLong: number): void {
  const reader = new FrameReader();
  const all = Buffer.concat(frames.map((one) => encodeFrame(one)));
  const read = [...piecesOf(all, lengths)].flatMap((piece) => reader.read(piece));
  assert.deepEqual(read, frames);
  const header = Buffer.alloc(8);
  header.writeUInt32LE(tooLong);
  assert.throws(() => reader.read(header), /^Error: read frame: it would have \d+ bytes$/);
}

/** By kind, each way in which an answer comes, or does not. */
const ANSWERS: Readonly<Record<Question["kind"], () => unknown>> = {
  alive: () => undefined,
  kernel: () => ({ programs: [], conntrack: undefined }),
  ordinary: () => undefined,
  state: () => ({ probes: [1n, 2.5, "x"] }),
  scan: () => Promise.resolve([1, 2]),
  namespaces: () => {
    throw new Error("no");
  },
  report: () => Promise.reject(new Error("no")),
  use: () => new Promise(() => {}),
  netns: () => () => {},
  confirm: () => Promise.resolve(() => {}),
  place: () => null,
};
/** As many as may be open, of a kind that is never answered. */
const MAX_UNANSWERED = 64;

const flood = fc
  .tuple(question, fc.constantFrom(MAX_UNANSWERED, MAX_UNANSWERED + 1, 400))
  .map(([one, count]) => Array(count).fill(encodeQuestion({ ...one, kind: "use" })));
const mixture = fc.array(
  fc.oneof({ weight: 12, arbitrary: sound }, { weight: 1, arbitrary: anyRecord }),
  { maxLength: MAX_UNANSWERED },
);

/** One end of a stream at which the other may be hostile: no exception leaves it. */
export const questions: FuzzTarget = {
  name: "questions",
  weight: 1,
  create: () => {
    const sockets = new QuestionSockets();
    const asked = fc.oneof({ weight: 9, arbitrary: mixture }, { weight: 1, arbitrary: flood });
    return fc.asyncProperty(asked, cuts, async (records: readonly Uint8Array[], lengths) => {
      const pair = await sockets.open(({ kind }) => ANSWERS[kind]());
      for (const piece of piecesOf(Buffer.concat(records), lengths)) pair.asker.write(piece);
      pair.asker.end();
      await pair.ended;
      checkAsked(pair, records);
    });
  },
};

/** All questions before the first that nobody may ask are let through, and none after it. */
function checkAsked({ questions, frames, broken }: Asked, records: readonly Uint8Array[]): void {
  const all = records.map((record) => decoded(record));
  const wrongAt = all.includes(undefined) ? all.indexOf(undefined) : all.length;
  const isFlood = all.length > MAX_UNANSWERED && wrongAt === all.length;
  const passed = isFlood ? MAX_UNANSWERED : wrongAt;
  assert.deepEqual(questions, all.slice(0, passed));
  assert.equal(broken.length, passed === all.length ? 0 : 1);
  const answered = new Set(questions.filter(({ kind }) => kind !== "use").map(({ id }) => id));
  assert.ok(frames.every(({ id }) => answered.has(id)));
  const isWhole = passed === all.length;
  const expected = questions.filter(({ kind }) => kind !== "use").length;
  assert.ok(isWhole ? frames.length === expected : frames.length <= expected);
}
