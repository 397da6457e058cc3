import assert from "node:assert/strict";
import { readdirSync, readFileSync, readlinkSync } from "node:fs";
import { after, before, describe, test } from "node:test";
import type { CheckReport } from "../../src/cli/report.ts";
import { getStatus } from "../support/api.ts";
import { TestCgroup } from "../support/cgroup.ts";
import {
  type DaemonProcess,
  pidsOf,
  startDaemonProcess,
  stopDaemon,
  tuplewatch,
} from "../support/commands.ts";
import { CONNECT_KINDS, checkEvents } from "../support/connect-kinds.ts";
import { type Attempts, tally } from "../support/connects.ts";
import type { ParsedEvent } from "../support/events.ts";
import { eventsOf } from "../support/feed.ts";
import { FAULTS, Netns } from "../support/netns.ts";
import { TRACEFS_WRAPPERS } from "../support/tracefs.ts";

const BACKEND = "syscall_tracepoint";
const ARGS = ["--probes", "connect", "--backend", BACKEND, "--max-events-per-second", "0"];

const COUNT = 7;
const KINDS = Object.keys(CONNECT_KINDS);

const COST = "; results are seen by sys_enter and sys_exit, at a cost for each system call";

/** Why the best programs were not attached. */
const REASONS = {
  mounted: undefined,
  unmounted: undefined,
  refused: `open tracefs: EPERM: it cannot be read at /sys/kernel/tracing, and to open it without a mount needs CAP_SYS_ADMIN and fsopen(2)${COST}`,
  withoutPerf: `open perf event tracepoint syscalls:sys_enter_connect (number N): EPERM${COST}`,
} as const satisfies Record<keyof typeof TRACEFS_WRAPPERS, string | undefined>;

type Situation = keyof typeof REASONS;
const SITUATIONS = Object.keys(REASONS) as Situation[];

function withoutNumber(reason: string | undefined): string | undefined {
  return reason?.replace(/number \d+/, "number N");
}

function tracefsMounts(pid: number): number {
  const mounts = readFileSync(`/proc/${pid}/mountinfo`, "utf8");
  return mounts.match(/ - tracefs /g)?.length ?? 0;
}

function openFiles(pid: number): string[] {
  const directory = `/proc/${pid}/fd`;
  return readdirSync(directory).map((fd) => readlinkSync(`${directory}/${fd}`));
}

/** Attempts of one process for each kind, in their order. */
function connects(netns: Netns, kinds: readonly string[], count: number): Attempts[] {
  const args = kinds.flatMap((kind) => [kind, String(count)]);
  const text = netns.exec("python3", `${FAULTS}connects.py`, ...args);
  return text
    .trim()
    .split("\n")
    .map((line) => JSON.parse(line));
}

function denied(kind: string): Attempts {
  const cgroup = new TestCgroup();
  try {
    return cgroup.connects(kind, COUNT);
  } finally {
    cgroup.delete();
  }
}

/** The same attempts, seen at once by a daemon in each situation. */
describe("results of connects", () => {
  const daemons = new Map<Situation, DaemonProcess>();
  const [netns, narrow] = [new Netns(), new Netns()];
  let ordinary: Attempts[] = [];
  /** What only the return value tells. */
  const returned: { pid: number; results: Record<string, number> }[] = [];

  before(async () => {
    for (const situation of SITUATIONS) {
      const wrapper = TRACEFS_WRAPPERS[situation];
      daemons.set(situation, await startDaemonProcess(ARGS, { wrapper }));
    }
    ordinary = connects(netns, KINDS, COUNT);
    const returning = (made: Attempts | undefined, results: Record<string, number>) =>
      returned.push({ pid: made?.pid ?? 0, results });
    // An even number: of an odd one __inet_hash_connect() leaves a port out, as its offset falls.
    narrow.sysctl("net.ipv4.ip_local_port_range", "30000\t30005");
    const [exhausted] = connects(narrow, ["udp_exhausted", "exhausted"], 12);
    returning(exhausted, { ok: 12, EAGAIN: 6, EADDRNOTAVAIL: 6 });
    const [taken] = connects(netns, ["bound_port_taken"], COUNT);
    returning(taken, { ok: COUNT, EADDRNOTAVAIL: COUNT });
    for (const kind of ["denied", "udp_denied"]) returning(denied(kind), { EPERM: COUNT });
  });
  after(async () => {
    for (const each of [netns, narrow]) each.delete();
    for (const daemon of daemons.values()) await stopDaemon(daemon);
  });

  for (const situation of SITUATIONS) {
    describe(`with tracefs ${situation}`, () => {
      const reason = REASONS[situation];
      let daemon: DaemonProcess;
      let events: ParsedEvent[] = [];

      before(async () => {
        daemon = daemons.get(situation) as DaemonProcess;
        const query = { type: "connect", pid: String(ordinary[0]?.pid) };
        events = await eventsOf(daemon.url, COUNT * KINDS.length, query);
      });

      test("are seen by system calls, and what is missing is said", async () => {
        const [connect] = (await getStatus(daemon.url)).kernel?.probes ?? [];
        assert.equal(connect?.backend, BACKEND);
        const told = connect.passed_over.map((one) => [one.backend, withoutNumber(one.reason)]);
        assert.deepEqual(told, reason === undefined ? [] : [[BACKEND, reason]]);
      });

      test("mount nothing, and leave nothing open but the events of two tracepoints", () => {
        const isMounted = ["mounted", "withoutPerf"].includes(situation);
        for (const pid of pidsOf(daemon)) assert.equal(tracefsMounts(pid), isMounted ? 1 : 0);
        const [watching = [], serving = []] = pidsOf(daemon).map(openFiles);
        const events = watching.filter((file) => file.includes("perf_event"));
        assert.equal(events.length, reason === undefined ? 2 : 0);
        for (const file of watching) assert.doesNotMatch(file, /fscontext|^\/$|events\//);
        for (const file of serving) assert.doesNotMatch(file, /perf_event|fscontext/);
      });

      test("are no more and no fewer than attempts", () => {
        assert.equal(events.length, COUNT * KINDS.length);
      });

      KINDS.forEach((kind, index) => {
        test(`of kind ${kind} are exact`, () => {
          const own = events.slice(index * COUNT, (index + 1) * COUNT);
          const [made, expected] = [ordinary[index], CONNECT_KINDS[kind]];
          assert.ok(made && expected);
          checkEvents(own, made, expected, COUNT);
        });
      });

      test("are exact where only the return value tells", async () => {
        for (const { pid, results } of returned) {
          const count = Object.values(results).reduce((sum, one) => sum + one, 0);
          const query = { type: "connect", pid: String(pid) };
          const seen = await eventsOf(daemon.url, count, query);
          assert.deepEqual(tally(seen, "result"), results);
          for (const { inferred } of seen) assert.equal(inferred, undefined);
        }
      });

      test("are promised by check, at the same cost", async () => {
        const wrapper = TRACEFS_WRAPPERS[situation];
        const { stdout } = await tuplewatch(["check", "--json"], {}, { wrapper }).done;
        const probes: CheckReport["probes"] = JSON.parse(stdout).probes;
        const { backends = [] } = probes.find(({ probe }) => probe === "connect") ?? {};
        const one = backends.find(({ backend }) => backend === BACKEND);
        assert.equal(one?.available, true);
        assert.equal(withoutNumber(one.reason), reason);
      });
    });
  }
});
