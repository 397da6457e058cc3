import assert from "node:assert/strict";
import { release } from "node:os";
import type { ProbeStatus } from "../../src/http/openapi/status.schema.ts";
import { isOlder } from "../vm/requires.ts";
import { getStatus } from "./api.ts";
import { addModule, isLoaded, MODULE } from "./conntrack-module.ts";
import { metric } from "./feed.ts";
import { until } from "./until.ts";

/** Before 6.1 no backend of a conntrack probe works without the module. */
const EARLY = isOlder(release(), "6.1") ? null : "drop_tracepoint";
const LIMIT_MS = 60_000;

/** The daemon is there first; then nf_conntrack comes, and the probe must take `backend`. */
export async function loadModuleLate(url: string, probe: string, backend: string): Promise<void> {
  assert.ok(!isLoaded(MODULE), "loaded before the test");
  const early = await statusOf(url, probe);
  assert.equal(early.backend, EARLY);
  const waiting = { reason: `waiting for module ${MODULE}` };
  assert.deepEqual(early.passed_over.slice(0, 2), [
    { backend: "fentry", ...waiting },
    { backend: "kprobe", ...waiting },
  ]);
  addModule();
  await until(async () => (await statusOf(url, probe)).backend === backend, backend, LIMIT_MS);
  const attached = await metric(url, "tuplewatch_probe_attached");
  assert.equal(attached.get(`{probe="${probe}",backend="${backend}"}`), 1);
  assert.equal(attached.get(`{probe="${probe}",backend="drop_tracepoint"}`), 0);
}

async function statusOf(url: string, probe: string): Promise<ProbeStatus> {
  const { kernel } = await getStatus(url);
  const found = kernel?.probes.find((one) => one.probe === probe);
  assert.ok(found, probe);
  return found;
}
