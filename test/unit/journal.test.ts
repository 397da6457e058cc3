import assert from "node:assert/strict";
import { describe, it } from "node:test";
import { setTimeout as sleep } from "node:timers/promises";
import type { EventBatch } from "../../src/events/event.ts";
import { gapBatch } from "../../src/journal/batch.ts";
import { Journal, type JournalLimits } from "../../src/journal/journal.ts";
import type { JournalReader, ReadStart } from "../../src/journal/reader.ts";
import { accountedFor, connectBatch, type ParsedEvent } from "../support/events.ts";

const WIDE = { maxEvents: 1000, maxBytes: 1 << 30 };

function journalOf(sizes: readonly number[], limits: JournalLimits = WIDE): Journal {
  const journal = new Journal(limits);
  for (const size of sizes) {
    journal.append(connectBatch(size));
  }
  return journal;
}

/** Everything up to the end, notices included. */
function drain(reader: JournalReader): ParsedEvent[] {
  const events: ParsedEvent[] = [];
  for (let step = reader.peek(); step !== undefined; step = reader.peek()) {
    if (step.kind === "gap") {
      events.push(...(step.events as readonly ParsedEvent[]));
      reader.advance(step, 0);
    } else {
      events.push(...(step.entry.events().slice(step.index) as ParsedEvent[]));
      reader.advance(step, step.entry.count);
    }
  }
  return events;
}

function read(journal: Journal, start: ReadStart): ParsedEvent[] {
  return drain(journal.openReader(start));
}

function seqs(events: readonly ParsedEvent[]): (number | undefined)[] {
  return events.map((event) => event.seq);
}

describe("journal numbering and bounds", () => {
  it("numbers events from 1 without gaps, whatever the batches", () => {
    const events = read(journalOf([1, 3, 0, 2]), "oldest");
    assert.deepEqual(seqs(events), [1, 2, 3, 4, 5, 6]);
  });

  it("evicts the oldest whole batches beyond the number of events", () => {
    const journal = journalOf([4, 4, 4], { maxEvents: 10, maxBytes: 1 << 30 });
    assert.deepEqual(seqs(read(journal, "oldest")), [5, 6, 7, 8, 9, 10, 11, 12]);
    const stats = journal.stats();
    assert.equal(stats.evictedEvents, 4);
    assert.equal(stats.events, 8);
    assert.equal(stats.oldestSeq, 5);
    assert.equal(stats.nextSeq, 13);
  });

  it("evicts beyond the number of bytes, exactly", () => {
    const bytes = connectBatch(5).byteLength;
    const journal = journalOf([5, 5, 5], { maxEvents: 1000, maxBytes: 2 * bytes });
    assert.equal(journal.stats().bytes, 2 * bytes);
    assert.equal(journal.stats().evictedEvents, 5);
  });

  it("keeps the newest batch even where it alone is too large", () => {
    const journal = journalOf([2, 50], { maxEvents: 10, maxBytes: 1 << 30 });
    assert.equal(journal.stats().events, 50);
    assert.equal(journal.stats().evictedEvents, 2);
  });

  it("stays right when thousands of slots have been evicted", () => {
    const journal = journalOf(Array(5000).fill(1), { maxEvents: 7, maxBytes: 1 << 30 });
    assert.deepEqual(seqs(read(journal, "oldest")), [4994, 4995, 4996, 4997, 4998, 4999, 5000]);
    assert.equal(journal.stats().evictedEvents, 4993);
  });
});

describe("journal readers", () => {
  it("resume after any seq, also in the middle of a batch", () => {
    const journal = journalOf([3, 3, 3]);
    for (let after = 0; after <= 9; after += 1) {
      const expected = Array.from({ length: 9 - after }, (_, i) => after + 1 + i);
      assert.deepEqual(seqs(read(journal, { after })), expected);
    }
  });

  it("start at the end with what comes next", () => {
    const journal = journalOf([3]);
    const reader = journal.openReader("end");
    assert.equal(reader.peek(), undefined);
    journal.append(connectBatch(1));
    assert.deepEqual(seqs(drain(reader)), [4]);
  });

  it("are told what the journal no longer holds when they resume", () => {
    const journal = journalOf([4, 4, 4], { maxEvents: 8, maxBytes: 1 << 30 });
    const [gap, ...rest] = read(journal, { after: 1 });
    assert.equal(gap?.type, "gap");
    assert.equal(gap?.where, "journal");
    assert.deepEqual([gap?.from_seq, gap?.to_seq, gap?.missed], [2, 4, 3]);
    assert.equal(gap?.seq, undefined);
    assert.deepEqual(seqs(rest), [5, 6, 7, 8, 9, 10, 11, 12]);
  });

  it("are told exactly what was evicted while they did not read", () => {
    const journal = journalOf([4], { maxEvents: 8, maxBytes: 1 << 30 });
    const reader = journal.openReader("oldest");
    const step = reader.peek();
    assert.ok(step?.kind === "entry");
    reader.advance(step, 2);
    for (let i = 0; i < 10; i += 1) {
      journal.append(connectBatch(4));
    }
    const events = drain(reader);
    assert.equal(events[0]?.where, "slow_client");
    assert.deepEqual([events[0]?.from_seq, events[0]?.to_seq, events[0]?.missed], [3, 36, 34]);
    assert.equal(accountedFor(events, 3), 44);
  });

  it("with a seq from an earlier daemon get a notice and all there is", () => {
    const events = read(journalOf([2]), { after: 900 });
    assert.deepEqual(
      events.map((event) => event.where ?? event.seq),
      ["restart", 1, 2],
    );
  });
});

describe("kernel losses in the journal", () => {
  it("come in order and take no number", () => {
    const journal = journalOf([2]);
    journal.append(gapBatch({ where: "kernel_ring", probe: "connect", missed: 17 }));
    journal.append(connectBatch(1));
    const events = read(journal, "oldest");
    assert.deepEqual(seqs(events), [1, 2, undefined, 3]);
    assert.deepEqual([events[2]?.where, events[2]?.missed], ["kernel_ring", 17]);
    assert.deepEqual(seqs(read(journal, { after: 2 })), [undefined, 3]);
    assert.deepEqual(seqs(read(journal, { after: 1 })), [2, undefined, 3]);
  });

  it("are not lost to a slow reader when the notice itself is evicted", () => {
    const journal = journalOf([2], { maxEvents: 4, maxBytes: 1 << 30 });
    const reader = journal.openReader("end");
    journal.append(gapBatch({ where: "kernel_ring", probe: "connect", missed: 17 }));
    journal.append(gapBatch({ where: "kernel_ring", probe: "challenge_ack", missed: 5 }));
    for (let i = 0; i < 4; i += 1) {
      journal.append(connectBatch(2));
    }
    const events = drain(reader);
    assert.deepEqual(
      events.slice(0, 2).map((event) => [event.where, event.missed]),
      [
        ["slow_client", 4],
        ["kernel_ring", 22],
      ],
    );
    assert.deepEqual(seqs(events.slice(2)), [7, 8, 9, 10]);
  });
});

describe("kernel losses that a reader has seen", () => {
  it("are not told again when it falls behind", () => {
    const journal = journalOf([2], { maxEvents: 4, maxBytes: 1 << 30 });
    const reader = journal.openReader("end");
    journal.append(gapBatch({ where: "kernel_ring", probe: "connect", missed: 17 }));
    assert.equal(drain(reader)[0]?.missed, 17);
    for (let i = 0; i < 4; i += 1) {
      journal.append(connectBatch(2));
    }
    const notices = drain(reader).filter((event) => event.type === "gap");
    assert.deepEqual(
      notices.map((event) => [event.where, event.missed]),
      [["slow_client", 4]],
    );
  });
});

describe("shared views", () => {
  it("decode and encode each event once for all readers and both formats", () => {
    let decoded = 0;
    const inner = connectBatch(100);
    const counting: EventBatch = {
      probe: "connect",
      count: inner.count,
      byteLength: inner.byteLength,
      event: (index, seq) => {
        decoded += 1;
        return inner.event(index, seq);
      },
    };
    const journal = new Journal(WIDE);
    journal.append(counting);
    assert.equal(decoded, 0, "nobody has read yet");
    for (let i = 0; i < 10; i += 1) {
      const step = journal.openReader("oldest").peek();
      assert.ok(step?.kind === "entry");
      step.entry.encoded(i % 2 === 0 ? "ndjson" : "sse");
      step.entry.events();
    }
    const entry = journal.entryAt(0);
    assert.equal(entry?.encoded("sse").bytes, entry?.encoded("sse").bytes);
    assert.equal(decoded, 100);
    assert.equal(journal.stats().encodedEvents, 100);
  });

  it("are bounded and made again when needed", () => {
    const maxViewBytes = 300_000;
    const journal = journalOf(Array(20).fill(50), { ...WIDE, maxViewBytes });
    for (let ordinal = 0; ordinal < 20; ordinal += 1) {
      journal.entryAt(ordinal)?.encoded("ndjson");
      assert.ok(journal.stats().viewBytes <= maxViewBytes, `${journal.stats().viewBytes}`);
    }
    assert.equal(journal.stats().encodedEvents, 1000);
    journal.entryAt(0)?.encoded("ndjson");
    assert.equal(journal.stats().encodedEvents, 1050);
    journal.entryAt(19)?.encoded("ndjson");
    assert.equal(journal.stats().encodedEvents, 1050, "the newest was still held");
  });

  it("leave memory together with their batch", () => {
    const journal = journalOf([10], { maxEvents: 10, maxBytes: 1 << 30 });
    journal.entryAt(0)?.encoded("sse");
    assert.ok(journal.stats().viewBytes > 0);
    journal.append(connectBatch(10));
    assert.equal(journal.stats().viewBytes, 0);
  });

  it("frame SSE with the seq as id; notices have none", () => {
    const journal = journalOf([1]);
    journal.append(gapBatch({ where: "kernel_ring", probe: "connect", missed: 3 }));
    const event = journal.entryAt(0)?.encoded("sse").bytes.toString() ?? "";
    assert.match(event, /^id: 1\nevent: connect\ndata: \{"seq":1,.*\}\n\n$/);
    const notice = journal.entryAt(1)?.encoded("sse").bytes.toString() ?? "";
    assert.match(notice, /^event: gap\ndata: \{.*"missed":3.*\}\n\n$/);
  });
});

describe("wake-ups", () => {
  it("are one per burst and within 20 ms or so", async () => {
    const journal = new Journal(WIDE);
    let wakes = 0;
    const unsubscribe = journal.subscribe(() => {
      wakes += 1;
    });
    for (let i = 0; i < 100; i += 1) {
      journal.append(connectBatch(1));
    }
    assert.equal(wakes, 0);
    await sleep(100);
    assert.equal(wakes, 1);
    unsubscribe();
    journal.append(connectBatch(1));
    await sleep(50);
    assert.equal(wakes, 1);
  });
});
