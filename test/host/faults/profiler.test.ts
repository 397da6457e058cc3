import assert from "node:assert/strict";
import { mkdtempSync, rmSync } from "node:fs";
import { tmpdir } from "node:os";
import { join } from "node:path";
import { after, test } from "node:test";
import { getStatus } from "../../support/api.ts";
import { startDaemonProcess, stopDaemon } from "../../support/commands.ts";

const folder = mkdtempSync(join(tmpdir(), "tuplewatch-profiler-"));
after(() => rmSync(folder, { recursive: true }));

async function backends(...nodeFlags: string[]): Promise<unknown> {
  const daemon = await startDaemonProcess([], { nodeFlags });
  const { kernel } = await getStatus(daemon.url);
  await stopDaemon(daemon);
  return kernel?.probes.map(({ probe, backend }) => ({ probe, backend }));
}

/** Its timer interrupts the process each millisecond, and with it a verifier that would give up. */
test("a profiler does not keep programs from being loaded", async () => {
  const profiled = await backends("--cpu-prof", `--cpu-prof-dir=${folder}`);
  assert.deepEqual(profiled, await backends());
});
