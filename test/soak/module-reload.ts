import { setTimeout as sleep } from "node:timers/promises";
import { getStatus } from "../support/api.ts";
import { start } from "../support/commands.ts";
import { addModule, isRemoved, MODULE } from "../support/conntrack-module.ts";
import { FAULTS } from "../support/netns.ts";

/** An emulated guest under load is slow, and asking more often would make it slower. */
const LIMIT_MS = 60_000;
const POLL_MS = 1000;

const PROBE = "conntrack_insert_failed";

/**
 * Removes nf_conntrack under the daemon at `url`, adds it again, and has conntrack refuse two
 * flows: the probe must follow. `say` is told of each step, with its seconds.
 */
export async function reloadModule(url: string, say: (line: string) => void): Promise<void> {
  const attached = async () => {
    const { kernel } = await getStatus(url);
    return kernel?.probes.find(({ probe }) => probe === PROBE)?.backend ?? null;
  };
  await step(isRemoved, `${MODULE} removed`, say);
  await step(async () => (await attached()) === null, `${PROBE} detached`, say);
  addModule();
  await step(async () => (await attached()) === "kprobe", `${PROBE} attached`, say);
  const args = [`${FAULTS}conntrack_faults.py`, "snat_udp"];
  const { code, stderr } = await start("python3", args).done;
  if (code !== 0) throw new Error(`conntrack_faults.py: exit code ${code}: ${stderr}`);
  say("two flows refused");
}

async function step(
  holds: () => Promise<boolean>,
  what: string,
  say: (line: string) => void,
): Promise<void> {
  const startedMs = performance.now();
  const elapsedMs = () => performance.now() - startedMs;
  while (!(await holds())) {
    if (elapsedMs() > LIMIT_MS) throw new Error(`not within ${LIMIT_MS / 1000} s: ${what}`);
    await sleep(POLL_MS);
  }
  say(`${what} after ${(elapsedMs() / 1000).toFixed(1)} s`);
}
