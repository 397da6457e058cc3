import assert from "node:assert/strict";
import { execFileSync, spawn, spawnSync } from "node:child_process";
import { existsSync, mkdtempSync, readdirSync, rmSync, statSync } from "node:fs";
import { tmpdir } from "node:os";
import { join } from "node:path";
import type { FindingJson, RemedyJson } from "../../src/findings/finding.ts";
import { until } from "../support/until.ts";

/** Of the rules that remedies add. */
const TABLE = "tuplewatch";

const NAMED = "/run/netns";

/** One for all namespaces, set in the initial one. */
const SHARED = "net.netfilter.nf_conntrack_max";

/** What a program ends with that finds nothing to do: it can do it once only. */
const ONCE = /\bconntrack -D\b/;
const ENDLESS = /\btcpdump\b/;

/** A shell of root on this machine: where findings say that commands are to be typed. */
export class Terminal {
  readonly #folder = mkdtempSync(join(tmpdir(), "tuplewatch-remedies-"));

  /** What the command wrote; fails unless it exits with 0. */
  run(command: string, ...entry: readonly string[]): string {
    const [program = "", ...args] = [...entry, "sh", "-c", command];
    const done = spawnSync(program, args, { cwd: this.#folder, encoding: "utf8" });
    assert.equal(done.status, 0, `${command}\n${done.stdout}${done.stderr}`);
    return done.stdout;
  }

  /** Runs a command that waits for packets while `act` makes some, until it wrote all of `expected`. */
  async watch(command: string, act: () => Promise<void>, ...expected: RegExp[]): Promise<void> {
    const child = spawn("sh", ["-c", command], { cwd: this.#folder, detached: true });
    const ended = new Promise((resolve) => child.once("close", resolve));
    let text = "";
    for (const stream of [child.stdout, child.stderr]) {
      stream.on("data", (chunk: Buffer) => {
        text += chunk.toString();
      });
    }
    try {
      await until(() => text.includes("listening on"), command);
      await act();
      await until(() => expected.every((one) => one.test(text)), command);
    } finally {
      // The shell's process group: what it waits for would otherwise outlive it.
      const isRunning = child.exitCode === null && child.signalCode === null;
      if (child.pid !== undefined && isRunning) process.kill(-child.pid, "SIGKILL");
      await ended;
    }
  }

  /**
   * Runs all commands of a remedy. Its settings and rules are then in the finding's namespace, and
   * in that of this process all is as it was.
   */
  apply(finding: FindingJson, remedy: RemedyJson): string {
    const settings = settingsOf(remedy);
    const here = settings.filter(([key]) => key !== SHARED).map(([key]) => read(key));
    const rules = read("nft");
    const text = remedy.commands.map((command) => this.run(command)).join("");
    for (const [key, value] of settings) {
      const set = inside(nameOf(finding.netns?.inum), "sysctl", "-n", key);
      assert.deepEqual(set.trim().split(/\s+/), value.split(" "), key);
    }
    const after = settings.filter(([key]) => key !== SHARED).map(([key]) => read(key));
    assert.deepEqual([after, read("nft")], [here, rules], "this machine's own");
    return text;
  }

  /** All that are for this machine, but for those that another run would fail or wait. */
  applyAll(finding: FindingJson, withOnce = false): void {
    for (const remedy of finding.remedies) {
      const text = remedy.commands.join("\n");
      if (remedy.where !== undefined || ENDLESS.test(text)) continue;
      if (withOnce || !ONCE.test(text)) this.apply(finding, remedy);
    }
  }

  close(): void {
    const isMarked = existsSync(join(this.#folder, "MARK"));
    rmSync(this.#folder, { recursive: true });
    assert.ok(!isMarked, "no name was run as a command");
  }
}

/** The remedy with such a command. */
export function remedyWith({ remedies }: FindingJson, pattern: RegExp): RemedyJson {
  const found = remedies.find(({ commands }) => commands.some((command) => pattern.test(command)));
  return found ?? assert.fail(`${pattern} in ${JSON.stringify(remedies)}`);
}

/** Runs a program in a namespace of ip-netns(8), without a shell. */
export function inside(name: string, ...words: string[]): string {
  return execFileSync("nsenter", [`--net=${join(NAMED, name)}`, ...words], { encoding: "utf8" });
}

export function nameOf(inum: unknown): string {
  const found = readdirSync(NAMED).find((name) => statSync(join(NAMED, name)).ino === inum);
  return found ?? assert.fail(`no namespace ${inum}`);
}

/** Deletes the rules that remedies added there. */
export function takeBack(name: string): void {
  assert.match(inside(name, "nft", "list", "table", "ip", TABLE), /chain/);
  inside(name, "nft", "delete", "table", "ip", TABLE);
}

function settingsOf({ commands }: RemedyJson): [key: string, value: string][] {
  return commands.flatMap((command) => {
    const [, key, value] = /\bsysctl -w '?([\w.]+)=([^']*)'?$/.exec(command) ?? [];
    return key === undefined || value === undefined ? [] : [[key, value] as [string, string]];
  });
}

/** A setting of this process's namespace, or all of its rules. */
function read(what: string): string {
  const [program, ...args] = what === "nft" ? ["nft", "list", "ruleset"] : ["sysctl", "-n", what];
  return execFileSync(program, args, { encoding: "utf8" });
}
