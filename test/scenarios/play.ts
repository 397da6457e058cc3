import { spawn } from "node:child_process";
import { createInterface } from "node:readline";
import { fileURLToPath } from "node:url";
import type { Scenario } from "./catalog.ts";

const FOLDER = fileURLToPath(new URL("../../../test/scenarios/", import.meta.url));

/** What a script tells when its traffic is over; the rest depends on the script. */
export interface Played {
  /** Time since 1970 of the last packet, or a little later. */
  readonly ended_at_ms: number;
  readonly [name: string]: unknown;
}

export interface PlayOptions {
  /** A line for whoever watches. */
  readonly onLine?: (line: string) => void;
}

/** Runs a scenario; its namespaces and processes are there until `whileUp` has resolved. */
export async function play<T>(
  { script, args }: Scenario,
  whileUp: (played: Played) => Promise<T>,
  { onLine }: PlayOptions = {},
): Promise<T> {
  const child = spawn("python3", [`${FOLDER}${script}.py`, ...args], { stdio: "pipe" });
  const said: string[] = [];
  createInterface(child.stderr).on("line", (line) => {
    said.push(line);
    onLine?.(line);
  });
  const ended = new Promise<number | null>((resolve, reject) => {
    child.on("error", reject);
    child.on("close", resolve);
  });
  const first = new Promise<string>((resolve) => createInterface(child.stdout).on("line", resolve));
  try {
    const line = await Promise.race([first, ended]);
    if (typeof line !== "string") throw new Error(`${script} ended early:\n${said.join("\n")}`);
    return await whileUp(JSON.parse(line) as Played);
  } finally {
    child.stdin.end();
    const code = await ended;
    if (code !== 0) said.push(`exit code ${code}`);
  }
}
