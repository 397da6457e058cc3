import assert from "node:assert/strict";
import { after, before, describe, test } from "node:test";
import { start, startDaemonProcess } from "../support/commands.ts";
import { CONNECT_KINDS, checkEvents } from "../support/connect-kinds.ts";
import type { Attempts } from "../support/connects.ts";
import type { ParsedEvent } from "../support/events.ts";
import { eventsOf, metric } from "../support/feed.ts";
import { FAULTS, Netns } from "../support/netns.ts";
import { until } from "../support/server.ts";

const COUNT = 5;
const KINDS = Object.keys(CONNECT_KINDS);

/** Enough for the kernel of 7.2, which preempts BPF programs, to leave out some hundred runs. */
const HOGS = 4;
const PROCESSES = 4;
const PER_PROCESS = 500;
const UNLIMITED = ["--max-events-per-second", "0"];

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

test("no attempt is lost while processes push each other from the CPUs", async (t) => {
  const daemon = await startDaemonProcess(["--probes", "connect", ...UNLIMITED]);
  const netns = new Netns();
  const hogs = Array.from({ length: HOGS }, () => start("sh", ["-c", "while :; do :; done"]));
  const running = Array.from({ length: PROCESSES }, () =>
    netns.spawn("python3", `${FAULTS}connects.py`, "refused", String(PER_PROCESS)),
  );
  for (const { done } of running) assert.equal((await done).code, 0);
  for (const { child } of hogs) child.kill("SIGKILL");
  // `unknown`: the programs of the change of state and of the return value were both left out.
  const told = async () =>
    [...(await metric(daemon.url, "tuplewatch_connect_events_total"))]
      .filter(([labels]) => /result="(ECONNREFUSED|unknown)"/.test(labels))
      .reduce((sum, [, count]) => sum + count, 0);
  const all = PROCESSES * PER_PROCESS;
  await until(async () => (await told()) >= all, "as many events", 30_000);
  const missed = await metric(daemon.url, "tuplewatch_program_missed_runs_total");
  t.diagnostic(JSON.stringify([...missed].filter(([, count]) => count > 0)));
  assert.equal(await told(), all);
  netns.delete();
  daemon.child.kill("SIGTERM");
  assert.equal((await daemon.done).code, 0);
});

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
