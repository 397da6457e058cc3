import assert from "node:assert/strict";
import { release } from "node:os";
import { after, before, describe, test } from "node:test";
import { getStatus } from "../support/api.ts";
import { type DaemonProcess, startDaemonProcess, stopDaemon } from "../support/commands.ts";
import { conservation } from "../support/conservation.ts";
import type { ParsedEvent } from "../support/events.ts";
import { eventsOf, metric } from "../support/feed.ts";
import { Netns } from "../support/netns.ts";
import {
  bindPorts,
  checkPortBinds,
  countsBetween,
  expectedCounts,
  NO_PORT_BIND,
  PORT_BIND_EVENTS,
  PORT_BIND_KINDS,
  type PortBinds,
} from "../support/port-binds.ts";
import { TRACEFS_WRAPPERS } from "../support/tracefs.ts";
import { isOlder, sinceKernel } from "../vm/requires.ts";

const COUNTER = "tuplewatch_port_bind_events_total";

/** A backend in one of its ways; the oldest kernel of the matrix that permits it, and why. */
interface Way {
  readonly backend: string;
  readonly wrapper?: readonly string[];
  readonly since: string;
  readonly why: string;
}

const REGISTERS = { since: "5.15", why: "a thread's registers by bpf_task_pt_regs()" };

const WAYS: Readonly<Record<string, Way>> = {
  fentry: { backend: "fentry", since: "6.1", why: "programs that call functions of their own" },
  kprobe: { backend: "kprobe", since: "5.10", why: "kprobes read the kernel's memory by BTF" },
  syscall_tracepoint: { backend: "syscall_tracepoint", ...REGISTERS },
  "syscall_tracepoint of all calls": {
    backend: "syscall_tracepoint",
    wrapper: TRACEFS_WRAPPERS.withoutPerf,
    ...REGISTERS,
  },
};

/** The same calls, seen at once by a daemon for each way: they must tell the same. */
describe("port_bind", () => {
  const daemons = new Map<string, DaemonProcess>();
  /** Of the daemons' own calls. */
  const countsBefore = new Map<string, ReadonlyMap<string, number>>();
  const netns = new Netns();
  let made: PortBinds;

  before(async () => {
    for (const [way, { backend, wrapper = [], since }] of Object.entries(WAYS)) {
      if (isOlder(release(), since)) continue;
      const args = ["--probes", "connect,port_bind", "--backend", backend];
      daemons.set(way, await startDaemonProcess(args, { wrapper }));
    }
    for (const [way, { url }] of daemons) countsBefore.set(way, await metric(url, COUNTER));
    made = bindPorts(netns);
  });
  after(async () => {
    netns.delete();
    for (const daemon of daemons.values()) await stopDaemon(daemon);
  });

  for (const [way, { backend, since, why }] of Object.entries(WAYS)) {
    if (isOlder(release(), since)) {
      test(`${way}: everything`, (t) => void sinceKernel(t, since, why));
      continue;
    }
    describe(`by ${way}`, () => {
      let events: ParsedEvent[] = [];
      let url = "";

      before(async () => {
        url = (daemons.get(way) as DaemonProcess).url;
        const query = { type: "port_bind", netns: String(netns.inum) };
        events = await eventsOf(url, PORT_BIND_EVENTS, query);
      });

      test("as its daemon says", async () => {
        const probes = (await getStatus(url)).kernel?.probes ?? [];
        const found = probes.find(({ probe }) => probe === "port_bind");
        assert.equal(found?.backend, backend);
      });

      for (const kind of Object.keys(PORT_BIND_KINDS)) {
        test(`each failure of ${kind} is an event`, () => checkPortBinds(events, made, kind));
      }

      test(`nothing else is: ${Object.keys(NO_PORT_BIND).join(", ")}`, async () => {
        assert.equal(events.length, PORT_BIND_EVENTS);
        const { attempted, delivered } = await conservation(url, "port_bind");
        assert.deepEqual([attempted, delivered], [PORT_BIND_EVENTS, PORT_BIND_EVENTS]);
      });

      test("calls are counted by protocol, result and technique", async (t) => {
        const missed = await metric(url, "tuplewatch_program_missed_runs_total");
        t.diagnostic(JSON.stringify([...missed].filter(([, count]) => count > 0)));
        const counts = countsBetween(
          countsBefore.get(way) ?? new Map(),
          await metric(url, COUNTER),
        );
        assert.deepEqual(counts, expectedCounts(backend !== "syscall_tracepoint"));
      });
    });
  }
});
