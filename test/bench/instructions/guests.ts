import { execFile } from "node:child_process";
import { fileURLToPath } from "node:url";
import { promisify } from "node:util";
import { ensurePackages, HARNESS_PACKAGES } from "../../vm/packages.ts";
import type { SetupResult } from "./plan.ts";

const RUN = fileURLToPath(new URL("../../vm/run.js", import.meta.url));
const GUEST = fileURLToPath(new URL("guest.js", import.meta.url));
const TOOLS = fileURLToPath(new URL("../../../tools/usr/", import.meta.url));
const LIMIT_S = 3600;

const PEERS = [
  { name: "bpftrace", why: "as a peer of the benchmarks", anyOf: ["/usr/bin/bpftrace"] },
];

/** What one guest measured. */
export interface KernelResult {
  /** Major and minor version, as "6.12". */
  readonly kernel: string;
  readonly setups: readonly SetupResult[];
}

/** Boots `kernel` ("6.12", or "newest") with a clock of instructions, and measures a plan in it. */
export async function measureInGuest(
  kernel: string,
  plan: "quick" | "full",
  byProgram: boolean,
): Promise<KernelResult> {
  const say = (line: string) => process.stderr.write(`bench: ${line}\n`);
  await ensurePackages([...HARNESS_PACKAGES, ...(plan === "full" ? PEERS : [])], say);
  const options = ["--kernel", kernel, "--count-instructions", "--timeout", String(LIMIT_S)];
  const command = [RUN, ...options, "--", process.execPath, GUEST, plan];
  if (byProgram) command.push("programs");
  const env = { ...process.env, PATH: `${TOOLS}bin:${TOOLS}sbin:${process.env.PATH}` };
  const running = promisify(execFile)(process.execPath, command, { env, maxBuffer: 1 << 26 });
  running.child.stderr?.pipe(process.stderr);
  const { stdout } = await running;
  return JSON.parse(stdout) as KernelResult;
}

/** Instructions per cycle of one setup. */
export function instructionsOf(result: KernelResult, setup: string, cycle: string): number {
  const { measured } = setupOf(result, setup);
  return measured.find((one) => one.cycle === cycle)?.instructions ?? Number.NaN;
}

/** What a cycle costs beside `setup`, as a multiple of what it costs alone. */
export function ratioOf(result: KernelResult, setup: string, cycle: string): number {
  return instructionsOf(result, setup, cycle) / instructionsOf(result, "nothing", cycle);
}

export function setupOf({ setups, kernel }: KernelResult, name: string): SetupResult {
  const found = setups.find((one) => one.name === name);
  if (found === undefined) throw new Error(`instructions: ${kernel} has no setup "${name}"`);
  return found;
}
