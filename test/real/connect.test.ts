import assert from "node:assert/strict";
import { after, before, describe, test } from "node:test";
import { startDaemonProcess } from "../support/commands.ts";
import type { ParsedEvent } from "../support/events.ts";
import { eventsOf } from "../support/feed.ts";
import { Netns } from "../support/netns.ts";

interface Attempts {
  readonly pid: number;
  readonly netns: number;
  readonly attempts: readonly { readonly result: string; readonly local: [string, number] }[];
}

/** What every event of a kind must say; a function gets the index of the attempt. */
type Expected = Readonly<Record<string, unknown | ((index: number) => unknown)>>;

const OK = { result: "ok", protocol: "tcp", technique: "plain", syn_retransmits: 0 };

const KINDS: Readonly<Record<string, Expected>> = {
  ok: { ...OK, family: "ipv4" },
  ipv6: { ...OK, family: "ipv6" },
  v4_mapped: { ...OK, family: "ipv4" },
  bind_before_connect: { ...OK, technique: "bind_before_connect" },
  bind_address_no_port: { ...OK, technique: "bind_address_no_port" },
  bound_port: { ...OK, technique: "bound_port" },
  reuseaddr: { ...OK, technique: "reuseaddr" },
  refused: { ...OK, result: "ECONNREFUSED" },
  no_route: { ...OK, result: "ENETUNREACH", local: undefined },
  udp_no_route: { result: "ENETUNREACH", protocol: "udp" },
  udp_ok: { result: "ok", protocol: "udp", technique: "plain", conflict: undefined },
  nonblocking: OK,
  nonblocking_refused: { ...OK, result: "ECONNREFUSED" },
  self_connect: { ...OK, technique: "bound_port" },
  reconnect_udp: { result: "ok", protocol: "udp", conflict: undefined },
};

const COUNT = 23;

describe("connect events", () => {
  let daemon: Awaited<ReturnType<typeof startDaemonProcess>>;
  let netns: Netns;

  before(async () => {
    daemon = await startDaemonProcess();
  });
  after(async () => {
    daemon.child.kill("SIGTERM");
    await daemon.done;
  });

  async function provoke(
    kind: string,
    count: number,
    events: number,
  ): Promise<[Attempts, ParsedEvent[]]> {
    netns = new Netns();
    try {
      const made = netns.fault<Attempts>("connects.py", kind, String(count));
      const seen = await eventsOf(daemon.url, events, { type: "connect", pid: String(made.pid) });
      return [made, seen];
    } finally {
      netns.delete();
    }
  }

  for (const [kind, expected] of Object.entries(KINDS)) {
    test(`${COUNT} attempts of kind ${kind} are ${COUNT} events`, async () => {
      const [made, events] = await provoke(kind, COUNT, COUNT);
      assert.equal(events.length, COUNT);
      events.forEach((event, index) => {
        for (const [field, value] of Object.entries(expected)) {
          assert.deepEqual(event[field], value, `${kind} #${index}: ${field}`);
        }
        checkHead(event, made);
        checkLocal(event, made.attempts[index]);
      });
    });
  }
});

function checkHead(event: ParsedEvent, made: Attempts): void {
  assert.deepEqual(event.process, { pid: made.pid, comm: "python3", uid: 0 });
  const { cookie, inum } = event.netns as { cookie: string; inum: number };
  assert.equal(inum, made.netns);
  assert.match(cookie, /^[1-9]\d*$/);
  assert.equal(event.attribution, "current");
  assert.equal(event.inferred, undefined);
  assert.ok((event.duration_ns as number) > 0);
}

/** The local side as getsockname() told the process, where the attempt came to have one. */
function checkLocal(event: ParsedEvent, attempt: Attempts["attempts"][number] | undefined): void {
  assert.ok(attempt);
  if (attempt.result !== "EINPROGRESS") assert.equal(event.result, attempt.result);
  if (attempt.result !== "ok") return;
  const [address, port] = attempt.local;
  assert.deepEqual(event.local, { address: address.replace("::ffff:", ""), port });
}
