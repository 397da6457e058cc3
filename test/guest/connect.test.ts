import assert from "node:assert/strict";
import { after, before, describe, test } from "node:test";
import { getStatus } from "../support/api.ts";
import { start, startDaemonProcess } from "../support/commands.ts";
import { CONNECT_KINDS, checkEvents, checkShared } from "../support/connect-kinds.ts";
import type { Attempts } from "../support/connects.ts";
import type { ParsedEvent } from "../support/events.ts";
import { eventsOf, metric } from "../support/feed.ts";
import { FAULTS, Netns } from "../support/netns.ts";
import { TRACEFS_WRAPPERS } from "../support/tracefs.ts";
import { until } from "../support/until.ts";
import { sinceKernel } from "../vm/requires.ts";

type Daemon = Awaited<ReturnType<typeof startDaemonProcess>>;

const COUNT = 5;
const KINDS = Object.keys(CONNECT_KINDS);

/** Enough for the kernel of 7.2, which preempts BPF programs, to leave out some hundred runs. */
const HOGS = 4;
const PROCESSES = 4;
const PER_PROCESS = 500;
const UNLIMITED = ["--max-events-per-second", "0"];

/** Each backend, and that of system calls in each of its ways. */
const WAYS = {
  fentry: { backend: "fentry", limit: {} },
  syscall_tracepoint: { backend: "syscall_tracepoint", limit: {} },
  "syscall_tracepoint without a mount": {
    backend: "syscall_tracepoint",
    limit: { wrapper: TRACEFS_WRAPPERS.unmounted },
  },
  "syscall_tracepoint of all calls": {
    backend: "syscall_tracepoint",
    limit: { wrapper: TRACEFS_WRAPPERS.withoutPerf },
  },
  tcp_state: { backend: "tcp_state", limit: {} },
};

/** The same attempts, seen at once by a daemon for each backend. */
describe("connect events", () => {
  const daemons = new Map<string, Daemon>();
  const netns = new Netns();
  let made: Attempts[] = [];

  before(async () => {
    for (const [way, { backend, limit }] of Object.entries(WAYS)) {
      const args = ["--probes", "connect", "--backend", backend, ...UNLIMITED];
      daemons.set(way, await startDaemonProcess(args, limit));
    }
    // A guest starts processes slowly: one of them makes the attempts of all kinds.
    const args = KINDS.flatMap((kind) => [kind, String(COUNT)]);
    const text = netns.exec("python3", `${FAULTS}connects.py`, ...args);
    made = text
      .trim()
      .split("\n")
      .map((line) => JSON.parse(line));
  });
  after(async () => {
    netns.delete();
    for (const { child, done, stderr } of daemons.values()) {
      child.kill("SIGTERM");
      assert.equal((await done).code, 0, stderr());
    }
  });

  for (const [way, { backend }] of Object.entries(WAYS)) {
    describe(`by ${way}`, () => {
      const all = COUNT * KINDS.length;
      let events: ParsedEvent[] = [];

      before(async () => {
        const { url } = daemons.get(way) as Daemon;
        events = await eventsOf(url, all, { type: "connect", pid: String(made[0]?.pid) });
      });

      test("as its daemon says", async () => {
        const { url } = daemons.get(way) as Daemon;
        const [probe] = (await getStatus(url)).kernel?.probes ?? [];
        const dearer = probe?.passed_over.map(({ reason }) => reason).join() ?? "";
        assert.equal(/sys_enter and sys_exit/.test(dearer), way.endsWith("of all calls"), dearer);
      });

      test(`${all} attempts are as many events`, () => {
        assert.equal(events.length, all);
        assert.ok(events.every((event) => event.backend === backend));
      });

      KINDS.forEach((kind, index) => {
        test(kind, () => {
          const own = events.slice(index * COUNT, (index + 1) * COUNT);
          const expected = CONNECT_KINDS[kind];
          assert.ok(expected && made[index]);
          if (backend === "tcp_state") checkUnseen(own);
          else checkEvents(own, made[index], expected, COUNT);
          for (const event of own) checkPortSearch(event, backend);
        });
      });
    });
  }

  describe("where ports are few", () => {
    const few = new Netns();
    const SHARING = 48;

    before(() => few.sysctl("net.ipv4.ip_local_port_range", "30000\t30031"));
    after(() => few.delete());

    async function provoke(backend: string, kind: string, count: number) {
      const { url } = daemons.get(backend) as Daemon;
      const attempts = few.fault<Attempts>("connects.py", kind, String(count));
      const query = { type: "connect", pid: String(attempts.pid) };
      return { attempts, events: await eventsOf(url, count, query) };
    }

    for (const backend of ["fentry", "syscall_tracepoint"]) {
      for (const kind of ["udp_shared", "udp_shared_ipv6", "udp_shared_bind0"]) {
        test(`${kind} by ${backend}: of ${SHARING} sockets on 32 ports those that share one`, async () => {
          const { attempts, events } = await provoke(backend, kind, SHARING);
          assert.ok(checkShared(events, attempts) >= SHARING - 32);
        });
      }

      test(`a range of the socket's own, by ${backend}`, async (t) => {
        if (!sinceKernel(t, "6.3", "IP_LOCAL_PORT_RANGE")) return;
        for (const kind of ["own_range", "udp_own_range"]) {
          const { events } = await provoke(backend, kind, 9);
          assert.equal(events.length, 9);
          events.forEach(({ port_range }, index) => {
            const expected = index < 2 ? undefined : { low: 30002, high: 30003 };
            assert.deepEqual(port_range, expected, `${kind} #${index}`);
          });
        }
      });
    }
  });

  test("no attempt is lost while processes push each other from the CPUs", async (t) => {
    const { url } = daemons.get("fentry") as Daemon;
    const before = await refused(url);
    const hogs = Array.from({ length: HOGS }, () => start("sh", ["-c", "while :; do :; done"]));
    const running = Array.from({ length: PROCESSES }, () =>
      netns.spawn("python3", `${FAULTS}connects.py`, "refused", String(PER_PROCESS)),
    );
    for (const { done } of running) assert.equal((await done).code, 0);
    for (const { child } of hogs) child.kill("SIGKILL");
    const events = async () => (await refused(url)) - before;
    const all = PROCESSES * PER_PROCESS;
    await until(async () => (await events()) >= all, "as many events");
    const missed = await metric(url, "tuplewatch_program_missed_runs_total");
    t.diagnostic(JSON.stringify([...missed].filter(([, count]) => count > 0)));
    assert.equal(await events(), all);
  });
});

/** Known where the kernel looked for a TCP port, and a trampoline saw it return. */
function checkPortSearch(event: ParsedEvent, backend: string): void {
  const { protocol, technique, result, duration_ns, port_search_ns } = event;
  const isSearched = technique === "plain" || technique === "bind_address_no_port";
  if (backend === "fentry" && protocol === "tcp" && isSearched && result !== "ENETUNREACH") {
    assert.ok((port_search_ns as number) > 0, String(port_search_ns));
    assert.ok((port_search_ns as number) < (duration_ns as number));
  } else assert.equal(port_search_ns, undefined);
}

/** `unknown`: the programs of the change of state and of the return value were both left out. */
async function refused(url: string): Promise<number> {
  return [...(await metric(url, "tuplewatch_connect_events_total"))]
    .filter(([labels]) => /result="(ECONNREFUSED|unknown)"/.test(labels))
    .reduce((sum, [, count]) => sum + count, 0);
}

/**
 * Where no return value is seen, what the TCP state does not tell is unknown, and said to be. Such a
 * TCP attempt is found when its socket is closed.
 */
function checkUnseen(events: readonly ParsedEvent[]): void {
  for (const { protocol, result, inferred } of events) {
    if (protocol === "udp") assert.equal(result, "unknown");
    const unknown = protocol === "udp" ? ["result"] : ["result", "duration_ns"];
    assert.deepEqual(inferred, result === "unknown" ? unknown : undefined);
  }
}
