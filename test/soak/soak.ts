import { execFileSync } from "node:child_process";
import { setTimeout as sleep } from "node:timers/promises";
import { TestCgroup } from "../support/cgroup.ts";
import { pidsOf, type Running, startDaemonProcess, withoutReader } from "../support/commands.ts";
import { addModule } from "../support/conntrack-module.ts";
import { type Account, balanced } from "../support/conservation.ts";
import { until } from "../support/until.ts";
import { Load } from "./load.ts";
import { Memory } from "./memory.ts";
import { reloadModule } from "./module-reload.ts";
import { Readers } from "./readers.ts";

export interface SoakOptions {
  /** How much of it: a number of rounds, or as many as take so long. */
  readonly amount: { readonly rounds: number } | { readonly seconds: number };
  /** Ordinary connections a second. */
  readonly rate: number;
  readonly roundSeconds: number;
  /** Removes and adds nf_conntrack in each round; only on a machine of its own. */
  readonly withModule: boolean;
  readonly say: (line: string) => void;
}

export interface SoakResult {
  readonly rounds: number;
  readonly loadSeconds: number;
  readonly stops: number;
  readonly connects: number;
  readonly account: Account;
  readonly readers: Readers["totals"];
  readonly lostInKernel: number;
  readonly memory: Memory;
}

/** Findings open, close and are forgotten meanwhile. */
const DAEMON = ["--finding-quiet-seconds", "10"];
const GC = new URL("gc-on-signal.js", import.meta.url).href;
/** One that a ring of 1 MiB holds out at 5,000 events a second, and one that it does not. */
const STOPS_MS = [300, 2500];

/**
 * Loads a daemon in rounds; after each, in quiet, everything must add up exactly.
 * @throws Error that says what does not
 */
export async function soak(options: SoakOptions): Promise<SoakResult> {
  execFileSync("make", ["--no-print-directory", "-s", "-C", "test/bench"], { stdio: "inherit" });
  if (options.withModule) addModule();
  const cgroup = new TestCgroup();
  try {
    return await soakCgroup(cgroup.path, options);
  } finally {
    cgroup.delete();
  }
}

async function soakCgroup(cgroup: string, options: SoakOptions): Promise<SoakResult> {
  // fentry would hold the module; a kprobe lets it go.
  const backend = options.withModule ? ["--backend", "kprobe"] : [];
  const daemon = await startDaemonProcess(["--cgroup", cgroup, ...DAEMON, ...backend], {
    timeoutMs: (2 * secondsOf(options) + 600) * 1000,
    wrapper: ["env", `NODE_OPTIONS=--import=${GC}`],
  });
  options.say(`the daemon serves ${daemon.url}`);
  const result = await new Soak(daemon, new Load(cgroup), options).run().finally(() => {
    daemon.child.kill("SIGTERM");
    return daemon.done;
  });
  const { code, stderr } = await daemon.done;
  if (code !== 0) throw new Error(`the daemon ended with exit code ${code}: ${stderr}`);
  return result;
}

/** For a full ring or, as no event is left out by its kind, for the limit of events a second. */
export function lostInKernel({ probes }: Account): number {
  return [...probes.values()].reduce((sum, { lost, filtered }) => sum + lost + filtered, 0);
}

/** Of load alone. */
function secondsOf({ amount, roundSeconds }: SoakOptions): number {
  return "rounds" in amount ? amount.rounds * roundSeconds : amount.seconds;
}

class Soak {
  readonly #daemon: Running & { readonly url: string };
  readonly #load: Load;
  readonly #options: SoakOptions;
  readonly #memory: Memory;
  #stops = 0;
  #loadMs = 0;

  constructor(daemon: Running & { readonly url: string }, load: Load, options: SoakOptions) {
    this.#daemon = daemon;
    this.#load = load;
    this.#options = options;
    this.#memory = new Memory(pidsOf(daemon));
  }

  async run(): Promise<SoakResult> {
    const { url } = this.#daemon;
    const readers = await Readers.open(url);
    const startedMs = performance.now();
    let account: Account;
    do {
      await this.#round(readers);
      account = await balanced(url, this.#load.connects);
      await readers.caughtUp(account.appended);
      await this.#memory.sample();
      this.#say(account);
    } while (!this.#isOver(startedMs));
    const lost = lostInKernel(account);
    const isTold = () => readers.lostInKernel >= lost;
    await until(isTold, `readers are told that the kernel lost ${lost}`);
    readers.end();
    if (readers.lostInKernel !== lost) {
      throw new Error(`the kernel lost ${lost}, readers were told ${readers.lostInKernel}`);
    }
    return {
      rounds: this.#memory.settled.length,
      loadSeconds: this.#loadMs / 1000,
      stops: this.#stops,
      connects: this.#load.connects,
      account,
      readers: readers.totals,
      lostInKernel: lost,
      memory: this.#memory,
    };
  }

  #isOver(startedMs: number): boolean {
    const { amount } = this.#options;
    return "rounds" in amount
      ? this.#memory.settled.length >= amount.rounds
      : performance.now() >= startedMs + amount.seconds * 1000;
  }

  async #round(readers: Readers): Promise<void> {
    const { rate, roundSeconds, withModule } = this.#options;
    const startedMs = performance.now();
    let isOver = false;
    const loading = this.#load.round(rate, roundSeconds).finally(() => {
      isOver = true;
    });
    const others = [readers.visit(() => isOver), this.#stopAndGoOn()];
    if (withModule) others.push(reloadModule(this.#daemon.url, this.#options.say));
    // All of them end before one that failed ends the soak.
    const ended = await Promise.allSettled([loading, ...others]);
    for (const one of ended) if (one.status === "rejected") throw one.reason;
    this.#loadMs += performance.now() - startedMs;
  }

  async #stopAndGoOn(): Promise<void> {
    await sleep(1000);
    await withoutReader(this.#daemon, () => sleep(STOPS_MS[this.#stops++ % STOPS_MS.length]));
  }

  #say({ probes }: Account): void {
    const { settled, unsettled } = this.#memory;
    const { attempted = 0, lost = 0, filtered = 0 } = probes.get("connect") ?? {};
    const [rss, before] = [settled, unsettled].map((of) => of.at(-1)?.toFixed(1));
    this.#options.say(
      `round ${settled.length}: ${attempted} connects, ${lost} lost, ${filtered} filtered, ` +
        `${rss} MiB resident (${before} before collection)`,
    );
  }
}
