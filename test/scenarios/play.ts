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
  readonly env?: Readonly<Record<string, string>>;
  /** Directory of the cgroup that it runs in. */
  readonly cgroup?: string;
}

/** Lets the same happen once more; what the arguments mean depends on the script. */
export type Again = (...args: readonly string[]) => Promise<Played>;

/** The process puts itself into the cgroup. */
const IN_CGROUP = 'echo $$ > "$0/cgroup.procs" && exec python3 "$@"';

/** Runs a scenario; its namespaces and processes are there until `whileUp` has resolved. */
export async function play<T>(
  { script, args }: Scenario,
  whileUp: (played: Played, again: Again) => Promise<T>,
  { onLine, env = {}, cgroup }: PlayOptions = {},
): Promise<T> {
  const words = [`${FOLDER}${script}.py`, ...args];
  const [program, ...rest] =
    cgroup === undefined ? ["python3", ...words] : ["sh", "-c", IN_CGROUP, cgroup, ...words];
  const child = spawn(program, rest, { stdio: "pipe", env: { ...process.env, ...env } });
  const said: string[] = [];
  createInterface(child.stderr).on("line", (line) => {
    said.push(line);
    onLine?.(line);
  });
  const ended = new Promise<number | null>((resolve, reject) => {
    child.on("error", reject);
    child.on("close", resolve);
  });
  const reports = createInterface(child.stdout)[Symbol.asyncIterator]();
  const next = async () => {
    const { done, value } = await reports.next();
    if (done) throw new Error(`${script} ended early:\n${said.join("\n")}`);
    return JSON.parse(value) as Played;
  };
  const again: Again = (...what) => {
    child.stdin.write(`${JSON.stringify(what)}\n`);
    return next();
  };
  try {
    return await whileUp(await next(), again);
  } finally {
    child.stdin.end();
    const code = await ended;
    if (code !== 0) said.push(`exit code ${code}`);
  }
}
