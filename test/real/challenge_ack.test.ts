import assert from "node:assert/strict";
import { after, before, describe, test } from "node:test";
import { startDaemonProcess } from "../support/commands.ts";
import type { ParsedEvent } from "../support/events.ts";
import { eventsOf } from "../support/feed.ts";
import { Netns } from "../support/netns.ts";

interface Challenged {
  readonly netns: number;
  readonly server: [string, number];
  readonly client: [string, number];
  readonly rcv_nxt: number;
  readonly snd_una: number;
  readonly moved: Readonly<
    Record<"TCPChallengeACK" | "TCPSYNChallenge" | "TCPACKSkippedChallenge", number>
  >;
}

const TRIGGERS = { rst: "rst", syn: "syn", old_ack: "ack_too_old" } as const;

describe("challenge_ack events", () => {
  let daemon: Awaited<ReturnType<typeof startDaemonProcess>>;
  let netns: Netns;

  before(async () => {
    daemon = await startDaemonProcess();
    netns = new Netns();
  });
  after(async () => {
    netns.delete();
    daemon.child.kill("SIGTERM");
    await daemon.done;
  });

  async function challenge(ratelimitMs: number, triggers: (keyof typeof TRIGGERS)[]) {
    netns.sysctl("net.ipv4.tcp_invalid_ratelimit", String(ratelimitMs));
    const made = netns.fault<Challenged>("challenge.py", ...triggers);
    const port = String(made.client[1]);
    const query = { type: "challenge_ack", netns: String(netns.inum), port };
    return { made, events: await eventsOf(daemon.url, triggers.length, query) };
  }

  test("each challenged segment is one event, as many as the kernel's counters moved", async () => {
    const triggers: (keyof typeof TRIGGERS)[] = ["rst", "syn", "old_ack", "syn", "syn"];
    const { made, events } = await challenge(0, triggers);
    assert.deepEqual(
      events.map(({ trigger }) => trigger),
      triggers.map((trigger) => TRIGGERS[trigger]),
    );
    assert.equal(made.moved.TCPChallengeACK, triggers.length);
    assert.equal(made.moved.TCPSYNChallenge, 3);
    for (const event of events) {
      assert.deepEqual(event.local, { address: "127.0.0.1", port: made.server[1] });
      assert.deepEqual(event.peer, { address: "127.0.0.1", port: made.client[1] });
      assert.equal(event.sent, true);
      assert.deepEqual(event.inferred, ["sent"]);
      assert.equal(event.tcp_state, "established");
      assert.equal(event.rcv_nxt, made.rcv_nxt);
      assert.equal(event.snd_una, made.snd_una);
      assert.equal(event.attribution, "socket");
      assert.equal((event.netns as { name: string }).name, netns.name);
    }
    assert.equal(segment(events[0]).seq, (made.rcv_nxt + 10) >>> 0);
    assert.equal(segment(events[1]).seq, (made.rcv_nxt + 5000000) >>> 0);
    assert.equal(segment(events[2]).ack, (made.snd_una - 1000000) >>> 0);
  });

  test("what the per-socket limiter holds back is an event that says so", async () => {
    const { made, events } = await challenge(10_000, ["syn", "rst", "syn", "old_ack"]);
    assert.deepEqual(
      events.map(({ sent, limiter }) => ({ sent, limiter })),
      [
        { sent: true, limiter: undefined },
        ...Array.from({ length: 3 }, () => ({ sent: false, limiter: "socket" })),
      ],
    );
    assert.equal(made.moved.TCPChallengeACK, 1);
    assert.equal(made.moved.TCPACKSkippedChallenge, 3);
    assert.equal(made.moved.TCPSYNChallenge, 2);
  });

  test("20 SYNs on one connection are 20 events", async () => {
    const { made, events } = await challenge(
      0,
      Array.from({ length: 20 }, () => "syn" as const),
    );
    assert.equal(events.length, 20);
    assert.equal(made.moved.TCPSYNChallenge, 20);
  });
});

function segment(event: ParsedEvent | undefined): { seq: number; ack: number } {
  return event?.segment as { seq: number; ack: number };
}
