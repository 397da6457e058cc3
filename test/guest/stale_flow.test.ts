import assert from "node:assert/strict";
import { execFileSync } from "node:child_process";
import { statSync } from "node:fs";
import { release } from "node:os";
import { after, before, describe, test } from "node:test";
import { fileURLToPath } from "node:url";
import { startDaemonProcess } from "../support/commands.ts";
import { conservation } from "../support/conservation.ts";
import type { ParsedEvent } from "../support/events.ts";
import { eventsOf, metric } from "../support/feed.ts";
import { until } from "../support/until.ts";
import { isOlder, sinceKernel } from "../vm/requires.ts";

const FAULTS = fileURLToPath(new URL("../../../test/faults/stale_flows.py", import.meta.url));

/** What an event must tell; the new socket's datagrams come from `port`. */
interface Expected {
  readonly port: number;
  readonly nat: "none" | "dnat" | "snat";
  readonly destination: string;
  readonly actual: string;
  readonly events: number;
}

function stale(port: number, more: Partial<Expected> = {}): Expected {
  const dnat = { nat: "dnat", destination: "127.0.0.2:1234", actual: "127.0.0.1:8053" } as const;
  return { port, ...dnat, events: 1, ...more };
}

const IPV6 = { destination: "fd00:8::2:1234", actual: "fd00:8::1:8053" };

const CASES: Readonly<Record<string, Expected>> = {
  unconnected: stale(4001),
  connected: stale(4002),
  corked: stale(4003),
  unconnected6: stale(4004, IPV6),
  connected6: stale(4005, IPV6),
  mapped: stale(4006),
  autobound: stale(4007),
  redirect: stale(4008, { destination: "127.0.0.2:1253", actual: "127.0.0.1:8053" }),
  snat: stale(4009, { nat: "snat", destination: "127.0.0.3:1234", actual: "127.0.0.3:1234" }),
  plain: stale(4010, { nat: "none", destination: "127.0.0.4:1299", actual: "127.0.0.4:1299" }),
  seven: stale(4011, { events: 7 }),
};

const CLEAN = [
  "deleted",
  "expired",
  "same_socket",
  "siblings",
  "other_tuples",
  "server",
  "untracked",
  "exempt",
  "other_namespace",
];

const TOTAL = Object.values(CASES).reduce((sum, { events }) => sum + events, 0);

/** The oldest kernel of the matrix that permits a backend, and why no older one does. */
const BACKENDS: Readonly<Record<string, readonly [since: string, why: string]>> = {
  fentry: ["6.1", "the BTF of module nf_conntrack"],
  kprobe: ["5.10", "kprobes read the kernel's memory by BTF"],
};

type Daemon = Awaited<ReturnType<typeof startDaemonProcess>>;

/** The same datagrams, seen at once by a daemon for each backend: they must tell the same. */
describe("stale_flow", () => {
  const daemons = new Map<string, Daemon>();
  const seen = new Map<string, readonly ParsedEvent[]>();
  let pid = 0;
  let madeWithinMs = 0;

  before(async () => {
    for (const [backend, [since]] of Object.entries(BACKENDS)) {
      if (isOlder(release(), since)) continue;
      const args = ["--probes", "stale_flow", "--backend", backend];
      daemons.set(backend, await startDaemonProcess(args));
    }
    execFileSync("modprobe", ["nf_conntrack"]);
    for (const [backend, { url }] of daemons) await attached(url, backend);
    const names = [...Object.keys(CASES), ...CLEAN];
    const startedMs = performance.now();
    const text = execFileSync("python3", [FAULTS, ...names], { encoding: "utf8" });
    madeWithinMs = performance.now() - startedMs;
    pid = JSON.parse(text.split("\n")[0] as string).pid;
    for (const [backend, { url }] of daemons) {
      seen.set(backend, await eventsOf(url, TOTAL, { type: "stale_flow_reuse" }));
    }
  });
  after(async () => {
    for (const { child, done } of daemons.values()) {
      child.kill("SIGTERM");
      await done;
    }
  });

  for (const [backend, [since, why]] of Object.entries(BACKENDS)) {
    if (isOlder(release(), since)) {
      test(`${backend}: everything`, (t) => void sinceKernel(t, since, why));
      continue;
    }
    for (const [name, expected] of Object.entries(CASES)) {
      test(`${backend}: ${name}: ${expected.events} of ${expected.nat}`, () => {
        const mine = (seen.get(backend) ?? []).filter((event) => portOf(event) === expected.port);
        assert.equal(mine.length, expected.events);
        for (const event of mine) check(event, expected);
        const cookies = new Set(mine.map(({ socket_cookie }) => socket_cookie));
        assert.equal(cookies.size, expected.events, "one for each new socket");
      });
    }
    test(`${backend}: nothing else is an event: ${CLEAN.join(", ")}`, async () => {
      const url = daemons.get(backend)?.url as string;
      assert.deepEqual(
        seen
          .get(backend)
          ?.map(portOf)
          .filter((port) => port > 4020),
        [],
      );
      const { attempted, delivered } = await conservation(url, "stale_flow");
      assert.deepEqual([attempted, delivered], [TOTAL, TOTAL]);
      const values = await metric(url, "tuplewatch_stale_flow_events_total");
      assert.deepEqual(Object.fromEntries([...values].filter(([, count]) => count > 0)), {
        '{nat="dnat",redirected="true"}': TOTAL - 2,
        '{nat="snat",redirected="false"}': 1,
        '{nat="none",redirected="false"}': 1,
      });
    });
  }

  function check(event: ParsedEvent, { nat, destination, actual }: Expected): void {
    const { original, actual_destination, old_owner, netns } = event as unknown as Stale;
    assert.equal(event.nat, nat);
    assert.equal(event.protocol, "udp");
    assert.equal(event.zone, 0);
    assert.equal(text(original.dst), destination);
    assert.equal(text(actual_destination), actual);
    assert.equal(event.redirected, actual !== destination);
    assert.equal(event.attribution, "current");
    assert.deepEqual(event.process, { pid, comm: "python3", uid: 0 });
    assert.deepEqual(old_owner.process, event.process);
    assert.equal(netns.inum, statSync("/proc/self/ns/net").ino);
    assert.deepEqual(old_owner.netns.inum, netns.inum);
    assert.match(`${event.socket_cookie} ${old_owner.socket_cookie}`, /^[1-9]\d* [1-9]\d*$/);
    assert.notEqual(event.socket_cookie, old_owner.socket_cookie);
    const age = event.age_ns as number;
    assert.ok(age > 0 && age < madeWithinMs * 1e6, `${age} ns in ${madeWithinMs} ms`);
  }
});

interface Endpoint {
  readonly address: string;
  readonly port: number;
}

interface Stale {
  readonly original: { readonly src: Endpoint; readonly dst: Endpoint };
  readonly actual_destination: Endpoint;
  readonly netns: { readonly inum: number };
  readonly old_owner: {
    readonly socket_cookie: string;
    readonly process: object;
    readonly netns: { readonly inum: number };
  };
}

function text({ address, port }: Endpoint): string {
  return `${address}:${port}`;
}

function portOf(event: ParsedEvent): number {
  return (event as unknown as Stale).original.src.port;
}

async function attached(url: string, backend: string): Promise<void> {
  const name = `{probe="stale_flow",backend="${backend}"}`;
  const holds = async () => (await metric(url, "tuplewatch_probe_attached")).get(name) === 1;
  await until(holds, backend, 30_000).catch(async (error: unknown) => {
    throw new Error(await (await fetch(`${url}/status`)).text(), { cause: error });
  });
}
