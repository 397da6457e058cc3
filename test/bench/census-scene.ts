import { type ChildProcessByStdio, execFileSync, spawn } from "node:child_process";
import { once } from "node:events";
import { readdirSync } from "node:fs";
import { createInterface } from "node:readline";
import type { Readable, Writable } from "node:stream";
import { fileURLToPath } from "node:url";

const PROGRAM = fileURLToPath(new URL("../../../test/bench/census.py", import.meta.url));

interface Holder {
  readonly child: ChildProcessByStdio<Writable, Readable, null>;
  readonly lines: AsyncIterator<string>;
}

/** Fewer than RLIMIT_NOFILE mostly permits. */
const MAX_SOCKETS = 10_000;

let made = 0;

/** Network namespaces of the benchmark's own, and sockets in some of them. */
export class Scene {
  readonly names: readonly string[];
  readonly #holders: Holder[] = [];

  constructor(namespaces: number) {
    const scene = `tw-bench-${process.pid}-${++made}`;
    this.names = Array.from({ length: namespaces }, (_, index) => `${scene}-${index}`);
    try {
      batch(this.names.map((name) => `netns add ${name}`));
    } catch (error) {
      this.#delete();
      throw error;
    }
  }

  /** Opens so many in each of `names`, in as many processes as that takes. */
  async hold(sockets: number, names: readonly string[]): Promise<void> {
    for (let left = sockets; left > 0; left -= MAX_SOCKETS) {
      await this.#start(Math.min(left, MAX_SOCKETS), names);
    }
  }

  async #start(sockets: number, names: readonly string[]): Promise<void> {
    const child = spawn("python3", [PROGRAM, "sockets", String(sockets), ...names], {
      stdio: ["pipe", "pipe", "inherit"],
    });
    const lines = createInterface({ input: child.stdout })[Symbol.asyncIterator]();
    this.#holders.push({ child, lines });
    await expectLine(lines);
  }

  /** Opens one more connection in a namespace of the latest `hold`. */
  async change(name: string): Promise<void> {
    const { child, lines } = this.#holders.at(-1) ?? {};
    if (child === undefined || lines === undefined) throw new Error("nobody holds sockets");
    child.stdin.write(`${name}\n`);
    await expectLine(lines);
  }

  /** Makes so many conntrack entries in a namespace. */
  track(flows: number, name: string): void {
    execFileSync("python3", [PROGRAM, "flows", String(flows), name]);
  }

  async end(): Promise<void> {
    for (const { child } of this.#holders) {
      if (child.exitCode !== null || child.signalCode !== null) continue;
      const exited = once(child, "exit");
      child.stdin.end();
      await exited;
    }
    this.#delete();
  }

  #delete(): void {
    const there = new Set(readdirSync("/run/netns"));
    batch(this.names.filter((name) => there.has(name)).map((name) => `netns delete ${name}`));
  }
}

function batch(commands: readonly string[]): void {
  execFileSync("ip", ["-batch", "-"], { input: `${commands.join("\n")}\n` });
}

async function expectLine(lines: AsyncIterator<string>): Promise<void> {
  if ((await lines.next()).done === true) throw new Error("census.py has ended");
}
