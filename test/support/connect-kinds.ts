import assert from "node:assert/strict";
import type { Attempts } from "./connects.ts";
import type { ParsedEvent } from "./events.ts";

/** What every event of a kind must say. */
export type Expected = Readonly<Record<string, unknown>>;

const OK = { result: "ok", protocol: "tcp", technique: "plain", syn_retransmits: 0 };

/** The kinds of test/faults/connects.py of which each attempt ends the same. */
export const CONNECT_KINDS: Readonly<Record<string, Expected>> = {
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
  udp_shared_closed: { result: "ok", protocol: "udp", conflict: undefined },
  udp_shared_peers: { result: "ok", protocol: "udp", conflict: undefined },
  udp_shared_again: { result: "ok", protocol: "udp", conflict: undefined },
  reconnect_udp: { result: "ok", protocol: "udp", conflict: undefined },
};

/** Of udp_shared: each but the first on a port names the one before it there. */
export function checkShared(events: readonly ParsedEvent[], made: Attempts): number {
  const last = new Map<string, ParsedEvent>();
  let conflicts = 0;
  events.forEach((event, index) => {
    const local = JSON.stringify(event.local);
    const older = last.get(local);
    const { socket_cookie, process } = (event.conflict ?? {}) as ParsedEvent;
    assert.equal(socket_cookie, older?.socket_cookie, `#${index} on ${local}`);
    if (older !== undefined) {
      assert.deepEqual(process, event.process);
      conflicts++;
    }
    checkLocal(event, made.attempts[index]);
    last.set(local, event);
  });
  return conflicts;
}

/** Each attempt of a kind is one event, in order, with the right fields and process. */
export function checkEvents(
  events: readonly ParsedEvent[],
  made: Attempts,
  expected: Expected,
  count: number,
): void {
  assert.equal(events.length, count);
  events.forEach((event, index) => {
    for (const [field, value] of Object.entries(expected)) {
      assert.deepEqual(event[field], value, `#${index}: ${field}`);
    }
    checkHead(event, made);
    checkLocal(event, made.attempts[index]);
  });
}

export function checkHead(event: ParsedEvent, made: Attempts): void {
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
