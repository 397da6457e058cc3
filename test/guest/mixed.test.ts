import assert from "node:assert/strict";
import { execFileSync } from "node:child_process";
import { after, before, describe, test } from "node:test";
import { setTimeout as sleep } from "node:timers/promises";
import { start, startDaemonProcess } from "../support/commands.ts";
import { accountOf, assertBalanced } from "../support/conservation.ts";
import { EventTally } from "../support/event-tally.ts";
import { metric } from "../support/feed.ts";
import { MixedFaults } from "../support/mixed-faults.ts";
import { FAULTS } from "../support/netns.ts";
import { printProgramStats, startEmptyProgram } from "../support/program-stats.ts";

/** So often each client of the traffic makes each of its connections, however long that takes. */
const CYCLES = 12;
/** What test/faults/traffic.py makes in one cycle of its three clients. */
const OF_CYCLE = { "tcp ok": 12, "tcp ECONNREFUSED": 15, "udp ok": 3, datagrams: 3 };
/** `npm run test:mixed -- --minutes 10`: for so long instead. */
const SECONDS = Number(process.env.TUPLEWATCH_MIXED_SECONDS ?? 0);
const IS_LONG = SECONDS > 0;
const AMOUNT = IS_LONG ? `${SECONDS}s` : `${CYCLES}`;
/** Names of backends, one daemon each. */
const BACKENDS = (process.env.TUPLEWATCH_MIXED_BACKENDS ?? "auto").split(",");
const MEASURE = process.env.TUPLEWATCH_MIXED_STATS === "on";

/** The reader may lag by the whole run: an emulated machine is slow at reading, too. */
const ROOMY = ["--journal-events", "1000000", "--journal-bytes", "384MiB"];
const PROBES = ["connect", "challenge_ack", "conntrack_insert_failed"];
const ROUND_MS = 60_000;
/** What the faults of a round are, put together. */
const FINDINGS = [
  "four_tuple_collision",
  "local_port_exhaustion",
  "nat_insert_race",
  "nat_ports_exhausted",
  "udp_overshadowing",
];

interface Traffic {
  readonly pid: number;
  readonly counts: Readonly<Record<string, number>>;
  readonly moved: Readonly<Record<string, Readonly<Record<string, number>>>>;
}

type Daemon = Awaited<ReturnType<typeof startDaemonProcess>>;

describe(`mixed traffic, ${IS_LONG ? `${SECONDS} s` : `${CYCLES} cycles`} of it`, () => {
  const faults = new MixedFaults();
  const daemons = new Map<string, Daemon>();
  const tallies = new Map<string, EventTally>();
  let traffic: Traffic;
  let empty: ReturnType<typeof startEmptyProgram> | undefined;

  before(async () => {
    execFileSync("modprobe", ["nf_conntrack"]);
    for (const backend of BACKENDS) {
      const stats = MEASURE ? "on" : "off";
      const args = ["--backend", backend, "--program-stats", stats, ...ROOMY];
      const daemon = await startDaemonProcess(args, { timeoutMs: (SECONDS + 900) * 1000 });
      daemons.set(backend, daemon);
      tallies.set(backend, await EventTally.follow(daemon.url));
    }
    if (MEASURE) empty = startEmptyProgram();
    traffic = await mix();
    for (const tally of tallies.values()) await tally.quiet();
  });
  after(async () => {
    empty?.close();
    for (const tally of tallies.values()) await tally.stop();
    for (const { child, done, stderr } of daemons.values()) {
      child.kill("SIGTERM");
      assert.equal((await done).code, 0, stderr());
    }
  });

  /** One round of faults beside the traffic; while that goes on for minutes, one each minute. */
  async function mix(): Promise<Traffic> {
    const limit = { timeoutMs: (SECONDS + 600) * 1000 };
    const running = start("python3", [`${FAULTS}traffic.py`, AMOUNT], {}, "", limit);
    const endMs = performance.now() + SECONDS * 1000;
    do {
      const roundMs = performance.now();
      await faults.round();
      const nextMs = Math.min(roundMs + ROUND_MS, endMs) - performance.now();
      if (nextMs > 0) await sleep(nextMs);
    } while (performance.now() < endMs);
    const { code, stdout, stderr } = await running.done;
    assert.equal(code, 0, stderr);
    return JSON.parse(stdout) as Traffic;
  }

  for (const backend of BACKENDS) {
    const tally = () => tallies.get(backend) as EventTally;
    const url = () => (daemons.get(backend) as Daemon).url;

    if (backend === "drop_tracepoint") {
      // It sees less of the faults than this compares; it is here to be measured.
      testConservation();
      continue;
    }

    test(`${backend}: each ordinary connect is one event, with its result`, async (t) => {
      const { datagrams = 0, ...connects } = traffic.counts;
      t.diagnostic(JSON.stringify({ rounds: faults.rounds, ...traffic }));
      if (IS_LONG) assert.ok((connects["tcp ok"] ?? 0) > SECONDS && datagrams > 0);
      else assert.deepEqual(sorted(traffic.counts), sorted(times(CYCLES, OF_CYCLE)));
      const { "tcp unknown": unknown = 0, ...told } = tally().of("connect", traffic.pid);
      t.diagnostic(`${unknown} of unknown result`);
      if (unknown === 0) assert.deepEqual(sorted(told), sorted(connects));
      assert.equal(sum(told) + unknown, sum(connects));
      assert.ok(unknown <= sum(Object.fromEntries(await missedRuns())), "more than missed runs");
    });

    /** A kernel that preempts programs may leave out all that tell one result. */
    function missedRuns(): Promise<Map<string, number>> {
      return metric(url(), "tuplewatch_program_missed_runs_total");
    }

    test(`${backend}: each fault is the events that it must be, and there are no others`, (t) => {
      const own = new RegExp(`^(connect (${traffic.pid}|${process.pid})|finding 0) `);
      const seen = [...tally().counts].filter(([key]) => !own.test(key));
      t.diagnostic(JSON.stringify(byKind(seen)));
      assert.deepEqual(
        sorted(Object.fromEntries(seen)),
        sorted(Object.fromEntries(faults.expected)),
      );
    });

    test(`${backend}: findings are of the faults' kinds only`, (t) => {
      const kinds = Object.keys(tally().of("finding")).sort();
      t.diagnostic(JSON.stringify(tally().of("finding")));
      assert.deepEqual(kinds, FINDINGS);
    });

    test(`${backend}: the kernel counted nothing in the ordinary traffic`, () => {
      for (const counters of Object.values(traffic.moved)) {
        for (const [name, moved] of Object.entries(counters)) assert.equal(moved, 0, name);
      }
    });

    testConservation();

    function testConservation(): void {
      test(`${backend}: what was attempted went into the stream, or is counted`, async (t) => {
        // On the connection by which quiet() asks: a new one would be an event meanwhile.
        await tally().quiet();
        const { probes } = await accountOf(url());
        let delivered = 0;
        for (const probe of PROBES) {
          const stages = probes.get(probe);
          t.diagnostic(`${probe}: ${JSON.stringify(stages)}`);
          assertBalanced(probe, stages);
          assert.equal(stages.lost + stages.filtered + stages.malformed, 0, probe);
          delivered += stages.delivered;
        }
        await tally().quiet();
        assert.deepEqual([tally().events >= delivered, tally().missed], [true, 0]);
      });
    }
  }

  test("time per run of each program", async (t) => {
    if (empty === undefined) return;
    const urls = [...daemons].map(([backend, { url }]) => ({ backend, url }));
    t.diagnostic(await printProgramStats(urls, empty.nsPerRun()));
  });
});

function sorted(counts: Readonly<Record<string, number>>): [string, number][] {
  return Object.entries(counts).sort(([one], [other]) => (one < other ? -1 : 1));
}

function times(
  count: number,
  of: Readonly<Record<string, number>>,
): Readonly<Record<string, number>> {
  return Object.fromEntries(Object.entries(of).map(([name, one]) => [name, count * one]));
}

function sum(counts: Readonly<Record<string, number>>): number {
  return Object.values(counts).reduce((total, count) => total + count, 0);
}

/** Without the processes. */
function byKind(counts: readonly (readonly [string, number])[]): Record<string, number> {
  const kinds: Record<string, number> = {};
  for (const [key, count] of counts) {
    const kind = key.replace(/ \d+/, "");
    kinds[kind] = (kinds[kind] ?? 0) + count;
  }
  return kinds;
}
