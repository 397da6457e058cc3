import assert from "node:assert/strict";
import { test } from "node:test";
import fc from "fast-check";
import { type LoadedObject, RecordBatch, RingBuffer, recordViews } from "../src/index.ts";
import { produce, SampleChecker } from "./ring-support.ts";
import { objectPath, openTestObject, packet, until } from "./support.ts";

const RECORD_BYTES = 8 + 32;

interface Setup {
  readonly discardEvery?: number;
  readonly ringBytes?: number;
}

function setUp({ discardEvery = 0, ringBytes = 1 << 16 }: Setup = {}): [LoadedObject, RingBuffer] {
  const opened = openTestObject("ring");
  opened.setGlobal("config_discard_every", discardEvery);
  opened.map("ring").setMaxEntries(ringBytes);
  const loaded = opened.load();
  return [loaded, RingBuffer.map(loaded.map("ring"))];
}

function emit(loaded: LoadedObject, records: number): void {
  loaded.program("emit").testRun({ data: packet(), repeat: records });
}

test("records come in order over many laps of the ring", () => {
  const [loaded, ring] = setUp();
  const batch = new RecordBatch(512);
  const checker = new SampleChecker();
  for (let round = 0; round < 2000; round++) {
    emit(loaded, 777);
    assert.equal(ring.fill(), 777 * RECORD_BYTES);
    while (ring.take(batch) > 0) checker.check(batch, ring.views);
    ring.release();
    assert.equal(ring.fill(), 0);
  }
  assert.deepEqual([checker.records, checker.faults], [777 * 2000, 0]);
  ring.close();
  loaded.close();
});

test("records of every length are whole at the ring's end", () => {
  const [loaded, ring] = setUp({ ringBytes: 4096 });
  const batch = new RecordBatch(16);
  for (let round = 0; round < 3000; round++) {
    const length = 1 + (round % 236);
    loaded.program("emit_bytes").testRun({ data: packet(length) });
    assert.equal(ring.take(batch), 1);
    assert.equal(batch.lengths[0], length);
    const at = batch.offsets[0] ?? -1;
    const payload = ring.views.u8.subarray(at, at + length);
    assert.ok(payload.every((byte) => byte === length));
    ring.release();
  }
  ring.close();
  loaded.close();
});

test("discarded records are skipped and counted", () => {
  const [loaded, ring] = setUp({ discardEvery: 3 });
  emit(loaded, 900);
  const batch = new RecordBatch(1000);
  assert.equal(ring.take(batch), 600);
  assert.equal(ring.discarded, 300);
  ring.release();
  assert.equal(ring.fill(), 0);
  ring.close();
  loaded.close();
});

test("a full ring loses new records, counted by the program, and goes on", () => {
  const [loaded, ring] = setUp();
  const capacity = Math.floor((1 << 16) / RECORD_BYTES);
  emit(loaded, capacity + 100);
  assert.equal(loaded.getGlobal("lost"), 100n);
  assert.ok(ring.fill() <= ring.size && ring.fill() > ring.size - RECORD_BYTES);
  const batch = new RecordBatch(capacity + 100);
  const checker = new SampleChecker();
  assert.equal(ring.take(batch), capacity);
  checker.check(batch, ring.views);
  assert.equal(ring.take(batch), 0);
  ring.release();
  emit(loaded, 10);
  assert.equal(ring.take(batch), 10);
  checker.check(batch, ring.views);
  assert.equal(checker.faults, 0);
  ring.close();
  loaded.close();
});

test("a batch's span can be copied at once and decoded from the copy", () => {
  const [loaded, ring] = setUp();
  const batch = new RecordBatch(1600);
  const checker = new SampleChecker();
  const copy = new ArrayBuffer(1 << 16);
  for (let round = 0; round < 50; round++) {
    emit(loaded, 1500);
    assert.equal(ring.take(batch), 1500);
    assert.equal(batch.end - batch.start, 1500 * RECORD_BYTES);
    new Uint8Array(copy).set(ring.views.u8.subarray(batch.start, batch.end));
    ring.release();
    for (let i = 0; i < batch.count; i++) batch.offsets[i] = (batch.offsets[i] ?? 0) - batch.start;
    checker.check(batch, recordViews(copy));
  }
  assert.deepEqual([checker.records, checker.faults], [75_000, 0]);
  ring.close();
  loaded.close();
});

test("taking in parts and releasing once gives the same records", () => {
  const [loaded, ring] = setUp();
  emit(loaded, 1000);
  const batch = new RecordBatch(64);
  const checker = new SampleChecker();
  for (let count = ring.take(batch, 7); count > 0; count = ring.take(batch, 7)) {
    assert.ok(count <= 7);
    checker.check(batch, ring.views);
  }
  assert.equal(ring.fill(), 1000 * RECORD_BYTES);
  ring.release();
  assert.equal(ring.fill(), 0);
  assert.deepEqual([checker.records, checker.faults], [1000, 0]);
  ring.close();
  loaded.close();
});

test("a record that is not submitted yet holds back those behind it", async () => {
  const loaded = openTestObject("busy").load();
  const ring = RingBuffer.map(loaded.map("ring"));
  const task = { ringFd: ring.fd, records: 1, burst: 1, program: "hold" };
  const batch = new RecordBatch(4);
  let heldBack = 0;
  // A kernel that does not preempt may keep this thread from looking until both are submitted.
  for (let attempt = 0; attempt < 20 && heldBack === 0; attempt++) {
    const done = produce({ ...task, object: objectPath("busy") });
    await until(() => {
      const waits = ring.fill() === 2 * 16;
      if (ring.take(batch) > 0) return true;
      if (waits) heldBack++;
      return false;
    });
    const values = [0, 1].map((i) => ring.views.u64[(batch.offsets[i] ?? 0) >> 3]);
    assert.deepEqual([batch.count, ...values], [2, 1n, 2n]);
    ring.release();
    await done;
  }
  assert.ok(heldBack > 0);
  ring.close();
  loaded.close();
});

test("a map that is no ring buffer is refused", () => {
  const loaded = openTestObject("maps").load();
  assert.throws(() => RingBuffer.map(loaded.map("hash")), /map of type 1 /);
  assert.throws(() => new RecordBatch(0), { code: "EINVAL" });
  loaded.close();
});

test("whatever the headers hold, a walk ends and stays inside", () => {
  const header = fc.oneof(
    fc.integer({ min: 0, max: 64 }),
    fc.integer({ min: -(2 ** 31), max: 2 ** 31 - 1 }),
  );
  fc.assert(
    fc.property(fc.array(header, { minLength: 1, maxLength: 128 }), fc.nat(64), (words, limit) => {
      const headers = new Int32Array(words.length * 2);
      for (const [index, word] of words.entries()) headers[index * 2] = word;
      const end = headers.byteLength;
      const batch = new RecordBatch(limit + 1);
      const sound = batch.walk(headers, 0, end, limit + 1);
      assert.ok(batch.end <= end && batch.end % 8 === 0 && batch.count <= limit + 1);
      for (let i = 0; i < batch.count; i++) {
        assert.ok((batch.offsets[i] ?? -1) + (batch.lengths[i] ?? 0) <= end);
      }
      const stopped = headers[batch.end >> 2] ?? 0;
      if (!sound) assert.ok(batch.end + (stopped & 0x3fffffff) + 8 > end);
    }),
    { numRuns: 2000 },
  );
});
