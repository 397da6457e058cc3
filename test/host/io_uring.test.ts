import assert from "node:assert/strict";
import { execFileSync } from "node:child_process";
import { describe, test } from "node:test";
import { suiteDaemon } from "../support/commands.ts";
import { eventsOf } from "../support/feed.ts";

const COUNT = 7;

/** What an event says; `seen` where the backend sees the return value, else `inferred`. */
const KINDS = {
  ok: { seen: "ok", inferred: "ok" },
  refused: { seen: "ECONNREFUSED", inferred: "ECONNREFUSED" },
  // Found when the socket is closed.
  no_route: { seen: "ENETUNREACH", inferred: "unknown" },
  udp: { seen: "ok", inferred: "unknown" },
} as const;

describe("connects through io_uring, which make no connect system call", () => {
  const daemon = suiteDaemon();

  for (const [kind, expected] of Object.entries(KINDS)) {
    test(`${COUNT} of kind ${kind} are ${COUNT} events`, async () => {
      const script = `ip link set lo up; exec build/faults/uring_connects ${kind} ${COUNT}`;
      const text = execFileSync("unshare", ["--net", "sh", "-c", script], { encoding: "utf8" });
      const { pid } = JSON.parse(text) as { pid: number };
      const events = await eventsOf(daemon.url, COUNT, { type: "connect", pid: String(pid) });
      assert.equal(events.length, COUNT);
      const inferred = kind === "no_route" ? ["result", "duration_ns"] : ["result"];
      for (const event of events) {
        const result = event.backend === "fentry" ? expected.seen : expected.inferred;
        assert.equal(event.result, result);
        assert.deepEqual(event.inferred, result === "unknown" ? inferred : undefined);
      }
    });
  }
});
