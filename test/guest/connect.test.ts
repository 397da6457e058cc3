import assert from "node:assert/strict";
import { after, before, describe, test } from "node:test";
import { startDaemonProcess } from "../support/commands.ts";
import { CONNECT_KINDS, checkEvents } from "../support/connect-kinds.ts";
import type { Attempts } from "../support/connects.ts";
import type { ParsedEvent } from "../support/events.ts";
import { eventsOf } from "../support/feed.ts";
import { FAULTS, Netns } from "../support/netns.ts";

const COUNT = 5;
const KINDS = Object.keys(CONNECT_KINDS);

/** A guest starts processes slowly: one of them makes the attempts of all kinds. */
for (const backend of ["fentry", "syscall_tracepoint", "tcp_state"]) {
  describe(`connect events by ${backend}`, () => {
    let daemon: Awaited<ReturnType<typeof startDaemonProcess>>;
    let netns: Netns;
    let made: Attempts[] = [];
    let events: ParsedEvent[] = [];

    before(async () => {
      daemon = await startDaemonProcess(["--probes", "connect", "--backend", backend]);
      netns = new Netns();
      const args = KINDS.flatMap((kind) => [kind, String(COUNT)]);
      const text = netns.exec("python3", `${FAULTS}connects.py`, ...args);
      made = text
        .trim()
        .split("\n")
        .map((line) => JSON.parse(line));
      events = await eventsOf(daemon.url, COUNT * KINDS.length, { pid: String(made[0]?.pid) });
    });
    after(async () => {
      netns.delete();
      daemon.child.kill("SIGTERM");
      assert.equal((await daemon.done).code, 0);
    });

    test(`${COUNT * KINDS.length} attempts are as many events`, () => {
      assert.equal(events.length, COUNT * KINDS.length);
      assert.ok(events.every((event) => event.backend === backend));
    });

    KINDS.forEach((kind, index) => {
      test(kind, () => {
        const own = events.slice(index * COUNT, (index + 1) * COUNT);
        const expected = CONNECT_KINDS[kind];
        assert.ok(expected && made[index]);
        if (backend === "tcp_state") checkUnseen(own);
        else checkEvents(own, made[index], expected, COUNT);
      });
    });
  });
}

/** Where no return value is seen, what the TCP state does not tell is unknown, and said to be. */
function checkUnseen(events: readonly ParsedEvent[]): void {
  for (const { protocol, result, inferred } of events) {
    if (protocol === "udp") assert.equal(result, "unknown");
    assert.deepEqual(inferred, result === "unknown" ? ["result"] : undefined);
  }
}
