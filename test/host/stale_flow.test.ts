import assert from "node:assert/strict";
import { test } from "node:test";
import { getStatus } from "../support/api.ts";
import { startDaemonProcess, stopDaemon } from "../support/commands.ts";
import { metric } from "../support/feed.ts";

test("stale_flow is attached, or every backend says why not and the daemon runs", async () => {
  const daemon = await startDaemonProcess();
  try {
    const status = await getStatus(daemon.url);
    const found = status.kernel?.probes.find(({ probe }) => probe === "stale_flow");
    assert.ok(found);
    const attached = await metric(daemon.url, "tuplewatch_probe_attached");
    for (const backend of ["fentry", "kprobe"]) {
      const label = `{probe="stale_flow",backend="${backend}"}`;
      assert.equal(attached.get(label), backend === found.backend ? 1 : 0);
    }
    const rejected = found.passed_over.map(({ backend }) => backend);
    const expected = { fentry: [], kprobe: ["fentry"], none: ["fentry", "kprobe"] };
    assert.deepEqual(rejected, expected[(found.backend ?? "none") as keyof typeof expected]);
    for (const { reason } of found.passed_over) assert.match(reason, /\S/);
    assert.equal((await fetch(`${daemon.url}/readyz`)).status, 200);
  } finally {
    await stopDaemon(daemon);
  }
});
