import assert from "node:assert/strict";
import { release } from "node:os";
import { type TestContext, test } from "node:test";
import { isOlder } from "../vm/requires.ts";
import { type Challenged, type Faults, NAMES, type Name } from "./challenge-faults.ts";
import type { ParsedEvent } from "./events.ts";
import { eventsOf } from "./feed.ts";
import type { Netns } from "./netns.ts";

/** A delayed ACK comes 40 ms after the data, on a busy machine later. */
const ACK_DELAY_SECONDS = 0.5;
/**
 * The kernel takes this time in jiffies. They fall behind while a CPU waits for its turn, and catch
 * up all at once: by 14 ms in a busy guest. A wrong unit would still show on the pause of a second.
 */
const JIFFIES_BEHIND_SECONDS = 0.5;

/** From then on a connection has survived its last challenge. */
const SURVIVAL_MS = 10_000;

/** What one daemon saw of the faults. */
export class Seen {
  readonly faults: Faults;
  readonly #events: readonly ParsedEvent[];

  private constructor(faults: Faults, events: readonly ParsedEvent[]) {
    this.faults = faults;
    this.#events = events;
  }

  /** Waits for the outcomes, which come last. */
  static async by(url: string, faults: Faults, netns: Netns): Promise<Seen> {
    const query = { netns: String(netns.inum) };
    await eventsOf(url, Object.keys(outcomes(faults)).length, {
      ...query,
      type: "challenge_outcome",
    });
    const events = await eventsOf(url, 0, query);
    return new Seen(
      faults,
      events.filter(({ probe }) => probe === "challenge_ack"),
    );
  }

  events(name: Name, type = "challenge_ack"): ParsedEvent[] {
    const { server, client } = this.faults[name];
    return this.#events.filter(
      (event) =>
        event.type === type && port(event.local) === server[1] && port(event.peer) === client[1],
    );
  }

  get count(): number {
    return this.#events.length;
  }
}

function port(endpoint: unknown): number {
  return (endpoint as { port: number }).port;
}

/** The outcome of each connection that has one, and how many challenges it took. */
function outcomes({
  newAck,
}: Faults): Partial<Record<Name, [outcome: string, challenges: number]>> {
  return {
    three: ["survived", 3],
    idle: ["survived", 2],
    ipv6: ["survived", 3],
    halfClosed: ["survived", 3],
    vanished: ["reset_by_peer", 1],
    outdated: ["reset_by_peer", 1],
    closed: ["closed", 1],
    twenty: ["survived", 20],
    socketLimited: ["survived", 4],
    netnsLimited: ["survived", 4],
    ...(newAck.moved.TCPChallengeACK > 0 && { newAck: ["survived", 1] as [string, number] }),
  };
}

/**
 * The tests of a backend: the same for all. `halfOpen`: skips the test and is false where the
 * kernel does not challenge half-open connections; absent if the backend does not see that.
 */
export function testChallenges(
  backend: string,
  seen: () => Seen,
  halfOpen?: (t: TestContext) => boolean,
): void {
  function check(name: string, body: (seen: Seen) => void): void {
    test(`${backend}: ${name}`, () => body(seen()));
  }

  const families = { three: "IPv4", ipv6: "IPv6" } as const;
  for (const name of ["three", "ipv6"] as const) {
    check(
      `three forged segments (${families[name]}) are three events that name their cause`,
      (seen) => {
        checkThree(seen, name, backend);
      },
    );
  }

  check("so are those that a half-closed connection gets", (seen) => {
    const events = seen.events("halfClosed");
    const told = events.map(({ trigger, tcp_state, sent }) => [trigger, tcp_state, sent]);
    // What is not established is not noted beforehand by the tracepoints.
    const sent = backend === "drop_tracepoint" ? undefined : true;
    const triggers = ["rst", "syn", "ack_too_new"];
    assert.deepEqual(
      told,
      triggers.map((trigger) => [trigger, "close_wait", sent]),
    );
    assert.equal(seen.faults.halfClosed.moved.TCPChallengeACK, 3);
    for (const event of events) checkConnection(event, seen.faults.halfClosed);
  });

  check("idle_ns is the time since the connection last heard of its peer", (seen) => {
    for (const name of ["three", "idle", "twenty"] as const) {
      const { idle } = seen.faults[name];
      const told = seen.events(name).map(({ idle_ns }) => (idle_ns as number) / 1e9);
      assert.equal(told.length, idle.length);
      told.forEach((seconds, index) => {
        const [atLeast, atMost] = idle[index] as (typeof idle)[number];
        const text = `${name}: ${told} for ${JSON.stringify(idle)}`;
        assert.ok(seconds >= 0 && seconds >= atLeast - ACK_DELAY_SECONDS, text);
        assert.ok(seconds <= atMost + JIFFIES_BEHIND_SECONDS, text);
      });
    }
    const [afterPause] = seen.faults.idle.idle;
    assert.ok(afterPause !== undefined && afterPause[0] >= 1);
  });

  check("what the per-socket limiter holds back says so", (seen) => {
    const { moved } = seen.faults.socketLimited;
    assert.deepEqual(
      seen.events("socketLimited").map(({ sent, limiter }) => [sent, limiter]),
      [[true, undefined], ...Array.from({ length: 3 }, () => [false, "socket"])],
    );
    assert.deepEqual([moved.TCPChallengeACK, moved.TCPACKSkippedChallenge], [1, 3]);
  });

  check("so does what the namespace's limiter holds back", (seen) => {
    const events = seen.events("netnsLimited");
    assert.equal(events.length, 4);
    const sent = events.filter((event) => event.sent === true);
    const held = events.filter((event) => event.sent === false && event.limiter === "netns");
    assert.equal(sent.length, seen.faults.netnsLimited.moved.TCPChallengeACK);
    assert.ok(held.length >= 2, JSON.stringify(events));
    assert.equal(sent.length + held.length, events.length);
  });

  check("20 SYNs are 20 events, as many as TCPSYNChallenge moved", (seen) => {
    assert.equal(seen.events("twenty").length, 20);
    assert.equal(seen.faults.twenty.moved.TCPSYNChallenge, 20);
  });

  check("a SYN with a timestamp too old is an event, whatever the kernel calls it", (seen) => {
    const { moved, rcv_nxt } = seen.faults.outdated;
    const [event, ...others] = seen.events("outdated");
    assert.ok(event);
    assert.deepEqual(others, []);
    // From 6.4 on a SYN is challenged before its timestamp matters.
    assert.equal(moved.PAWSEstab, isOlder(release(), "6.4") ? 1 : 0);
    assert.equal(moved.PAWSEstab + moved.TCPSYNChallenge, 1);
    assert.deepEqual([event.trigger, event.sent], [moved.PAWSEstab > 0 ? "paws" : "syn", true]);
    assert.deepEqual(event.segment, { seq: (rcv_nxt + 5_000_000) >>> 0, ack: 0 });
    checkConnection(event, seen.faults.outdated);
  });

  check("an ACK of unsent data is an event where the kernel challenges it", (seen) => {
    const events = seen.events("newAck");
    assert.equal(events.length, seen.faults.newAck.moved.TCPChallengeACK);
    assert.ok(events.every(({ trigger }) => trigger === "ack_too_new"));
  });

  check("each challenged connection has exactly one outcome", (seen) => {
    const expected = outcomes(seen.faults);
    for (const name of NAMES) {
      const found = seen.events(name, "challenge_outcome");
      const told = found.map(({ outcome, challenges }) => [outcome, challenges]);
      assert.deepEqual(told, expected[name] === undefined ? [] : [expected[name]], name);
      for (const outcome of found) checkOutcome(outcome, seen, name);
    }
  });

  check("a reset and a close without a challenge are no event", (seen) => {
    for (const name of ["plainClose", "plainReset"] as const) {
      assert.deepEqual(seen.events(name), []);
      assert.deepEqual(seen.events(name, "challenge_outcome"), []);
    }
    const known = NAMES.flatMap((name) => [
      ...seen.events(name),
      ...seen.events(name, "challenge_outcome"),
    ]);
    assert.equal(seen.count, known.length);
  });

  if (halfOpen === undefined) return;
  test(`${backend}: an RST on a half-open connection is an event of its request socket`, (t) => {
    if (halfOpen(t)) checkHalfOpen(seen());
  });
}

function checkThree(seen: Seen, name: "three" | "ipv6", backend: string): void {
  const made = seen.faults[name];
  const events = seen.events(name);
  assert.deepEqual(
    events.map(({ trigger }) => trigger),
    ["rst", "syn", "ack_too_old"],
  );
  assert.equal(made.moved.TCPChallengeACK, 3);
  for (const event of events) {
    checkConnection(event, made);
    assert.equal(event.backend, backend);
    assert.equal(event.sent, true);
    assert.equal(event.inferred, undefined);
    assert.equal(event.tcp_state, "established");
  }
  assert.deepEqual(
    events.map(({ segment }) => segment),
    [
      { seq: (made.rcv_nxt + 10) >>> 0, ack: 0 },
      { seq: (made.rcv_nxt + 5_000_000) >>> 0, ack: 0 },
      { seq: made.rcv_nxt, ack: (made.snd_una - 1_000_000) >>> 0 },
    ],
  );
}

function checkHalfOpen(seen: Seen): void {
  const { halfOpen } = seen.faults;
  const [event, ...others] = seen.events("halfOpen");
  assert.ok(event);
  assert.deepEqual(others, []);
  assert.equal(halfOpen.moved.TCPChallengeACK, 1);
  checkConnection(event, { ...halfOpen, snd_una: (halfOpen.snd_una - 1) >>> 0 });
  assert.deepEqual([event.tcp_state, event.trigger, event.sent], ["new_syn_recv", "rst", true]);
  assert.equal(event.idle_ns, undefined);
  assert.deepEqual(event.segment, { seq: (halfOpen.rcv_nxt + 10) >>> 0, ack: 0 });
}

function checkConnection(event: ParsedEvent, made: Challenged): void {
  const [address, port] = made.server;
  assert.deepEqual(event.local, { address, port });
  assert.deepEqual(event.peer, { address: made.client[0], port: made.client[1] });
  assert.deepEqual([event.rcv_nxt, event.snd_una], [made.rcv_nxt, made.snd_una]);
  assert.equal(event.attribution, "socket");
  assert.deepEqual(event.process, { pid: made.pid, comm: "python3", uid: 0 });
}

function checkOutcome(event: ParsedEvent, seen: Seen, name: Name): void {
  const first = seen.events(name)[0];
  assert.ok(first?.seq !== undefined && event.seq !== undefined && first.seq < event.seq);
  assert.equal(event.socket_cookie, first.socket_cookie);
  assert.deepEqual(event.process, first.process);
  assert.deepEqual(event.cgroup, first.cgroup);
  const delayMs = (event.delay_ns as number) / 1e6;
  const hasSurvived = delayMs >= SURVIVAL_MS;
  assert.ok(delayMs >= 0 && hasSurvived === (event.outcome === "survived"), `${name}: ${delayMs}`);
}
