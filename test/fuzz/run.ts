import { fork } from "node:child_process";
import { randomInt } from "node:crypto";
import { readFileSync } from "node:fs";
import { availableParallelism } from "node:os";
import { fileURLToPath } from "node:url";
import { wholeNumber } from "../../src/config/values.ts";
import { readArguments, refuse } from "../support/arguments.ts";
import type { FuzzTarget } from "./target.ts";
import { TARGETS } from "./targets.ts";
import { BATCH_CASES, type Progress, type Task } from "./worker.ts";

const USAGE = `usage: npm run fuzz -- [--cases N] [--seed N] [--target NAME]...
targets: ${TARGETS.map(({ name }) => name).join(", ")}
`;

const DEFAULT_CASES = 100_000;

/** A batch takes about a second of processor time, however busy the machine is with other work. */
const HANG_CPU_S = 20;
/** For one that waits for what does not come. */
const HANG_MS = 300_000;
const LOOK_MS = 1000;
/** USER_HZ, which is 100 on all architectures in question. */
const TICKS_PER_SECOND = 100;

const MAX_SEED = 2 ** 31 - 1;
const MIB = 1024 ** 2;

interface Outcome {
  readonly cases: number;
  readonly failure?: string;
  readonly growthBytes: number;
}

async function main(): Promise<number> {
  const options = { cases: { type: "string" }, seed: { type: "string" } } as const;
  const target = { type: "string", multiple: true } as const;
  const { values } = readArguments({ options: { ...options, target } }, USAGE);
  const cases = wholeNumber(values.cases ?? String(DEFAULT_CASES), 1, 1e9);
  const seed = wholeNumber(values.seed ?? String(randomInt(MAX_SEED)), 0, MAX_SEED);
  const names = values.target ?? TARGETS.map(({ name }) => name);
  const targets = TARGETS.filter(({ name }) => names.includes(name));
  if (cases === undefined || seed === undefined || targets.length < names.length) {
    refuse("fuzz: a value is out of range or unknown", USAGE);
  }
  process.stdout.write(`fuzz: ${cases} cases, --seed ${seed}\n`);
  return fuzz(targets, cases, seed);
}

/** As many at once as there are processors; each in a process of its own. */
async function fuzz(targets: readonly FuzzTarget[], cases: number, seed: number): Promise<number> {
  const weights = targets.reduce((sum, { weight }) => sum + weight, 0);
  const waiting = targets.map(({ name, weight }): Task => {
    return { target: name, cases: Math.ceil((cases * weight) / weights), seed };
  });
  let failed = 0;
  const lane = async (): Promise<void> => {
    for (let task = waiting.shift(); task !== undefined; task = waiting.shift()) {
      const startedMs = performance.now();
      const outcome = await runTarget(task);
      report(task, outcome, performance.now() - startedMs);
      if (outcome.failure !== undefined) failed++;
    }
  };
  await Promise.all(Array.from({ length: availableParallelism() }, lane));
  return failed === 0 ? 0 : 1;
}

function report(task: Task, { cases, failure, growthBytes }: Outcome, tookMs: number): void {
  const columns = [
    task.target.padEnd(12),
    failure === undefined ? "passed" : "FAILED",
    `${cases} cases`.padStart(14),
    `${(tookMs / 1000).toFixed(1)} s`.padStart(8),
    `heap ${growthBytes < 0 ? "" : "+"}${(growthBytes / MIB).toFixed(1)} MiB`,
  ];
  process.stdout.write(`${columns.join("  ")}\n`);
  if (failure === undefined) return;
  const again = `--cases ${task.cases} --seed ${task.seed} --target ${task.target}`;
  process.stdout.write(`${failure}\nagain with: npm run fuzz -- ${again}\n`);
}

/** Ends the process when a batch takes too long. */
function runTarget(task: Task): Promise<Outcome> {
  const child = fork(fileURLToPath(new URL("worker.js", import.meta.url)), {
    execArgv: ["--expose-gc"],
  });
  return new Promise((resolve) => {
    let done = 0;
    let outcome: Outcome | undefined;
    let begun = { atMs: performance.now(), cpuS: 0 };
    const look = setInterval(() => {
      const cpuS = cpuSeconds(child.pid) - begun.cpuS;
      const tookMs = performance.now() - begun.atMs;
      if (cpuS <= HANG_CPU_S && tookMs <= HANG_MS) return;
      const batch = `cases ${done} to ${done + BATCH_CASES}`;
      const times = `${cpuS.toFixed(1)} s of processor time, ${Math.round(tookMs)} ms`;
      outcome = { cases: done, failure: `${batch} took over ${times}`, growthBytes: 0 };
      child.kill("SIGKILL");
    }, LOOK_MS);
    child.on("message", (progress: Progress) => {
      begun = { atMs: performance.now(), cpuS: cpuSeconds(child.pid) };
      if ("done" in progress) done = progress.done;
      else outcome = outcomeOf(progress, done);
    });
    child.on("exit", (code, signal) => {
      clearInterval(look);
      const failure = `the process ended with ${signal ?? code} after case ${done}`;
      resolve(outcome ?? { cases: done, failure, growthBytes: 0 });
    });
    child.send(task);
  });
}

/** Of a process, in user space and in the kernel; 0 for one that has ended (proc_pid_stat(5)). */
function cpuSeconds(pid: number | undefined): number {
  try {
    const fields = readFileSync(`/proc/${pid}/stat`, "utf8").split(") ")[1]?.split(" ") ?? [];
    return (Number(fields[11]) + Number(fields[12])) / TICKS_PER_SECOND;
  } catch {
    return 0;
  }
}

function outcomeOf(progress: Exclude<Progress, { done: number }>, done: number): Outcome {
  if ("failure" in progress) {
    return { cases: done, failure: progress.failure, growthBytes: 0 };
  }
  const { growthBytes, limitBytes } = progress;
  const grew = `the heap grew by ${growthBytes} bytes after the warm-up; limit ${limitBytes}`;
  return { cases: done, growthBytes, ...(growthBytes > limitBytes && { failure: grew }) };
}

process.exitCode = await main();
