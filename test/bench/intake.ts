import { execFileSync } from "node:child_process";
import { statSync } from "node:fs";
import { Registry } from "prom-client";
import type { RingRecords } from "../../src/attach/drain.ts";
import { Intake } from "../../src/intake/intake.ts";
import { Journal } from "../../src/journal/journal.ts";
import { ownCookie } from "../../src/kernel/namespaces.ts";
import { connect } from "../../src/probes/connect.ts";
import { recordBytes, ringRecords } from "../support/ring-records.ts";
import { type Figure, median } from "./statistics.ts";

const OWN_INUM = statSync("/proc/self/ns/net").ino;

const BATCHES = [1, 64, 512];
const ROUNDS = 5;
const RECORDS_PER_ROUND = 400_000;
/** At batch 1 each costs much more. */
const SINGLE_RECORDS = 50_000;

/** CPU per record behind the ring: counted, named and in the journal; and the same job in C. */
export function benchIntake(): Figure[] {
  return BATCHES.flatMap((batch) => {
    const count = batch === 1 ? SINGLE_RECORDS : RECORDS_PER_ROUND;
    // All before: a process that has forked must copy each page at its next write.
    const peer = medianOf(() => inC(batch, RECORDS_PER_ROUND));
    const intake = new Measured(batch);
    intake.take(count);
    const own = medianOf(() => intake.take(count));
    const name = `intake: at batches of ${batch}`;
    const aim = batch === 1 ? {} : { aim: "<= 0.3" };
    return [
      { name, value: own / 1000, unit: "us CPU per record", ...aim },
      { name: `${name}, in C`, value: peer / 1000, unit: "us CPU per record" },
      { name: `${name}, TypeScript / C`, value: own / peer, unit: "" },
    ];
  });
}

function medianOf(measure: () => number): number {
  return median(Array.from({ length: ROUNDS }, measure));
}

/** An intake with a journal that, after a first round, is full. */
class Measured {
  readonly #journal = new Journal({ maxEvents: 20_000, maxBytes: 16 << 20 });
  readonly #intake = new Intake(this.#journal, new Registry(), [connect], { observe: () => {} });
  readonly #records: RingRecords;

  constructor(batch: number) {
    this.#records = recordsOf(batch);
  }

  /** ns of CPU per record, of `count` or a few more. */
  take(count: number): number {
    const batch = this.#records.count;
    const rounds = Math.ceil(count / batch);
    const firstSeq = this.#journal.nextSeq;
    const before = process.cpuUsage();
    for (let round = 0; round < rounds; round++) this.#intake.take(this.#records);
    const { user, system } = process.cpuUsage(before);
    if (this.#journal.nextSeq !== firstSeq + rounds * batch) throw new Error("records were lost");
    return (1000 * (user + system)) / (rounds * batch);
  }
}

function inC(batch: number, count: number): number {
  const { views } = recordsOf(512);
  const args = [String(batch), String(Math.ceil(count / batch))];
  const text = execFileSync("build/bench/intake", args, { input: views.u8, encoding: "utf8" });
  return Number(text);
}

/** What a host does: some processes, mostly alike, and one connect in 50 is refused. */
function recordsOf(count: number): RingRecords {
  const [type] = connect.recordTypes;
  const pids = [process.pid, process.ppid, 1];
  const records = Array.from({ length: count }, (_, index) =>
    recordBytes(type, {
      "head.netns_cookie": Number(ownCookie() ?? 0),
      "head.netns_inum": OWN_INUM,
      "head.cgroup_id": 1,
      "head.process.pid": pids[(index >> 2) % pids.length] as number,
      duration_ns: 20_000 + 97 * index,
      protocol: 6,
      family: 2,
      error: index % 50 === 49 ? 111 : 0,
    }),
  );
  return ringRecords(connect, records);
}
