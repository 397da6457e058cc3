import assert from "node:assert/strict";
import { test } from "node:test";
import { type LoadedObject, RecordBatch, RingBuffer } from "../src/index.ts";
import { Mapping, pageBytes } from "../src/memory.ts";
import { produce, SampleChecker } from "./ring-support.ts";
import { openTestObject, packet, sleep, until } from "./support.ts";

function setUp(ringBytes = 1 << 20): [LoadedObject, RingBuffer] {
  const opened = openTestObject("ring");
  opened.map("ring").setMaxEntries(ringBytes);
  const loaded = opened.load();
  return [loaded, RingBuffer.map(loaded.map("ring"))];
}

function emit(loaded: LoadedObject, records: number): void {
  loaded.program("emit").testRun({ data: packet(), repeat: records });
}

test("millions of records from other cores arrive whole, each once", async () => {
  const [loaded, ring] = setUp();
  const task = { ringFd: ring.fd, records: 1_500_000, discardEvery: 5 };
  const checker = new SampleChecker(task.discardEvery);
  const subscription = ring.onReadable(async () => {
    await ring.drain((batch, views) => checker.check(batch, views), { maxPerTurn: 16_384 });
  });
  const results = await Promise.all([1, 2].map((producer) => produce({ ...task, producer })));
  const sum = (key: "submitted" | "discarded" | "lost") =>
    results.reduce((total, result) => total + result[key], 0);
  await until(() => ring.fill() === 0);
  subscription.close();
  assert.ok(sum("submitted") >= 3_000_000);
  assert.equal(checker.records, sum("submitted"));
  assert.equal(ring.discarded, sum("discarded"));
  assert.equal(checker.faults, 0);
  assert.equal(ring.corrupt, 0);
  ring.close();
  loaded.close();
});

test("each record wakes the reader, be it alone", async () => {
  const [loaded, ring] = setUp();
  let calls = 0;
  let records = 0;
  const subscription = ring.onReadable(() => {
    calls++;
    void ring.drain((batch) => {
      records += batch.count;
    });
  });
  for (let sent = 1; sent <= 20; sent++) {
    emit(loaded, 1);
    await until(() => records === sent);
  }
  subscription.close();
  assert.ok(calls >= 20, `${calls} calls`);
  ring.close();
  loaded.close();
});

test("an idle ring costs next to nothing, and still wakes", async (t) => {
  const [loaded, ring] = setUp();
  let records = 0;
  const subscription = ring.onReadable(() => {
    void ring.drain((batch) => {
      records += batch.count;
    });
  });
  // Else it would keep a failed test's process alive.
  t.after(() => subscription.close());
  emit(loaded, 5);
  await until(() => records === 5);
  await sleep(50);
  const before = process.cpuUsage();
  await sleep(1000);
  const { user, system } = process.cpuUsage(before);
  assert.ok(user + system < 200_000, `${user + system} us of CPU time in an idle second`);
  emit(loaded, 7);
  await until(() => records === 12, 1000);
  subscription.close();
  ring.close();
  loaded.close();
});

test("a hold-off bounds how often a busy ring calls back", async () => {
  const [loaded, ring] = setUp();
  let calls = 0;
  const subscription = ring.onReadable(
    () => {
      calls++;
      void ring.drain(() => {});
    },
    { holdOffMs: 5 },
  );
  const { submitted } = await produce({ ringFd: ring.fd, records: 3000, burst: 1, pauseMs: 0 });
  await until(() => ring.fill() === 0);
  subscription.close();
  assert.ok(calls < submitted / 2, `${calls} calls for ${submitted} records`);
  ring.close();
  loaded.close();
});

test("a long hold-off ends when it is made shorter, or when the ring fills", async (t) => {
  const [loaded, ring] = setUp();
  let records = 0;
  const drain = () => {
    void ring.drain((batch) => {
      records += batch.count;
    });
  };
  const subscription = ring.onReadable(drain, { holdOffMs: 60_000, urgentBytes: ring.size / 4 });
  t.after(() => subscription.close());
  emit(loaded, 1);
  await until(() => records === 1);
  emit(loaded, 1);
  await sleep(100);
  assert.equal(records, 1, "it waits");
  subscription.setHoldOff(5);
  await until(() => records === 2, 1000);
  await sleep(50);
  subscription.setHoldOff(60_000);
  emit(loaded, 1);
  await until(() => records === 3, 1000);
  const before = records;
  for (let fill = 0; fill < ring.size / 4; fill = ring.fill()) emit(loaded, 1000);
  await until(() => records > before, 1000);
  ring.close();
  loaded.close();
});

test("a drain hands out at most so many per turn and lets others run between", async () => {
  const [loaded, ring] = setUp();
  emit(loaded, 20_000);
  let turns = 0;
  let largest = 0;
  let done = false;
  const tick = (): void => {
    turns++;
    if (!done) setImmediate(tick);
  };
  setImmediate(tick);
  const total = await ring.drain(
    (batch) => {
      largest = Math.max(largest, batch.count);
    },
    { maxPerTurn: 100 },
  );
  done = true;
  assert.deepEqual([total, largest], [20_000, 100]);
  assert.ok(turns >= 199, `${turns} turns of the event loop`);
  ring.close();
  loaded.close();
});

test("an error in a handler reaches the caller, and the ring goes on", async () => {
  const [loaded, ring] = setUp();
  emit(loaded, 10);
  const failing = ring.drain(() => {
    throw new Error("handler");
  });
  await assert.rejects(failing, /handler/);
  assert.equal(ring.fill(), 0);
  emit(loaded, 3);
  assert.equal(await ring.drain(() => {}), 3);
  ring.close();
  loaded.close();
});

test("close in any order, while in use, never reads memory that is gone", async () => {
  const [loaded, ring] = setUp(1 << 16);
  const subscription = ring.onReadable(() => {});
  const { u8, u64 } = ring.views;
  const batch = new RecordBatch(16);
  emit(loaded, 100);
  const drained = ring.drain(
    () => {
      loaded.close();
      ring.close();
      ring.close();
    },
    { maxPerTurn: 10 },
  );
  assert.equal(await drained, 10);
  assert.equal(ring.closed, true);
  // Detached, or zeros on Node 20; not a fault.
  assert.ok(u8[0] === undefined || u8.every((byte) => byte === 0));
  assert.ok(u64.length === 0 || u64.at(-1) === 0n);
  for (const use of [() => ring.take(batch), () => ring.views, () => ring.fill(), () => ring.fd]) {
    assert.throws(use, { code: "EBADF" });
  }
  ring.release();
  assert.equal(await ring.drain(() => {}), 0);
  subscription.close();
  subscription.unref();
  await sleep(10);
});

test("a ring can be mapped again after a close, where the last one stopped", () => {
  const [loaded, first] = setUp();
  emit(loaded, 10);
  const batch = new RecordBatch(4);
  assert.equal(first.take(batch), 4);
  first.release();
  first.close();
  const second = RingBuffer.map(loaded.map("ring"));
  assert.equal(second.fill(), 6 * 40);
  assert.equal(second.take(batch), 4);
  assert.equal(second.views.u64[(batch.offsets[0] ?? 0) >> 3], 4n);
  second.close();
  loaded.close();
});

test("rings that are opened and closed leave nothing behind", async () => {
  const [loaded, ring] = setUp();
  ring.close();
  for (let i = 0; i < 200; i++) {
    const again = RingBuffer.map(loaded.map("ring"));
    again.onReadable(() => {}).unref();
    again.close();
  }
  await sleep(10);
  emit(loaded, 1);
  const last = RingBuffer.map(loaded.map("ring"));
  assert.equal(await last.drain(() => {}), 1);
  last.close();
  loaded.close();
});

test("a position that none can be, left by another consumer, is given up, and events go on", () => {
  const [loaded, first] = setUp(1 << 16);
  emit(loaded, 3);
  first.take(new RecordBatch(2));
  first.release();
  const page = Mapping.create(first.fd, 0, pageBytes(), true);
  const left = new BigUint64Array(page.buffer, 0, 1);
  const batch = new RecordBatch(16);
  const sound = RingBuffer.map(loaded.map("ring"));
  assert.deepEqual([sound.take(batch), sound.corrupt], [1, 0]);
  sound.release();
  sound.close();
  for (const wrong of [1n, 1n << 16n, 1n << 32n, (1n << 64n) - (1n << 17n)]) {
    left[0] = wrong;
    const ring = RingBuffer.map(loaded.map("ring"));
    assert.deepEqual([ring.take(batch), ring.corrupt], [0, 1], `position ${wrong}`);
    emit(loaded, 2);
    assert.deepEqual([ring.take(batch), ring.corrupt], [2, 1], `position ${wrong}`);
    ring.release();
    assert.equal(left[0], ring.released);
    ring.close();
  }
  page.close();
  first.close();
  loaded.close();
});
