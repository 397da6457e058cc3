import { existsSync, readFileSync } from "node:fs";
import { PortSampler, type PortScan } from "../../src/ports/sampler.ts";
import { Scene } from "./census-scene.ts";
import { type Figure, median } from "./statistics.ts";

const SCANS = 7;
const CONNTRACK = "/proc/sys/net/netfilter/nf_conntrack_max";

interface Case {
  readonly name: string;
  readonly namespaces: number;
  /** In each namespace. */
  readonly each?: number;
  /** In the last one. */
  readonly inOne?: number;
  readonly flows?: number;
}

const CASES: readonly Case[] = [
  { name: "1 namespace, empty", namespaces: 1 },
  { name: "100 namespaces, empty", namespaces: 100 },
  { name: "1,000 namespaces, empty", namespaces: 1000 },
  { name: "100 namespaces with 20 sockets", namespaces: 100, each: 20 },
  { name: "1 namespace with 1,000 sockets", namespaces: 1, inOne: 1000 },
  { name: "1 namespace with 10,000 sockets", namespaces: 1, inOne: 10_000 },
  { name: "1 namespace with 100,000 sockets", namespaces: 1, inOne: 100_000 },
  { name: "100 with 20 sockets, one more with 100,000", namespaces: 101, each: 20, inOne: 100_000 },
  { name: "1 namespace with 100,000 conntrack entries", namespaces: 1, flows: 100_000 },
];

/**
 * What a scan of local ports costs the process that takes it, which is the privileged one: its CPU, all
 * threads, and the longest turn of its event loop, by the time that its main thread ran.
 */
export async function benchCensus(): Promise<Figure[]> {
  const figures: Figure[] = [];
  for (const one of CASES) {
    process.stderr.write(`census: ${one.name} ...\n`);
    if (one.flows !== undefined && !existsSync(CONNTRACK)) {
      process.stderr.write("census: not measured here: this kernel has no conntrack\n");
      continue;
    }
    figures.push(...(await measureCase(one)));
  }
  return figures;
}

async function measureCase(one: Case): Promise<Figure[]> {
  const scene = new Scene(one.namespaces);
  try {
    await fill(scene, one);
    return await measure(one.name, scene, (one.each ?? one.inOne ?? 0) > 0);
  } finally {
    await scene.end();
  }
}

async function fill(scene: Scene, { each = 0, inOne = 0, flows = 0 }: Case): Promise<void> {
  const last = scene.names.slice(-1);
  if (inOne > 0) await scene.hold(inOne, last);
  const others = inOne > 0 ? scene.names.slice(0, -1) : scene.names;
  if (each > 0) await scene.hold(each, others);
  if (flows > 0) scene.track(flows, last[0] ?? "");
}

async function measure(name: string, scene: Scene, hasSockets: boolean): Promise<Figure[]> {
  const sampler = new PortSampler({
    onError: (error) => {
      throw error;
    },
    intervalMs: 0,
    patienceMs: 600_000,
    maxCpuRatio: Number.POSITIVE_INFINITY,
  });
  const figure = (what: string, value: number, aim?: string): Figure => ({
    name: `census: ${name}: ${what}`,
    value,
    unit: "ms",
    ...(aim !== undefined && { aim }),
  });
  const first = await scan(sampler);
  const unchanged = await repeat(() => scan(sampler));
  const figures = [
    figure("CPU, first scan", first.cpuMs),
    figure("CPU, nothing changed", median(unchanged.map(({ cpuMs }) => cpuMs))),
  ];
  if (hasSockets) {
    const [changing = ""] = scene.names;
    const changed = await repeat(async () => {
      await scene.change(changing);
      return scan(sampler);
    });
    figures.push(figure("CPU, one changed", median(changed.map(({ cpuMs }) => cpuMs))));
  }
  const turnsMs = await repeat(() => longestTurnMs(() => sampler.latest()));
  figures.push(figure("longest turn of the event loop", median(turnsMs), "<= 10"));
  await sampler.stop();
  return figures;
}

async function scan(sampler: PortSampler): Promise<{ readonly cpuMs: number }> {
  const before = process.cpuUsage();
  const taken: PortScan | undefined = await sampler.latest();
  const { user, system } = process.cpuUsage(before);
  if (taken === undefined) throw new Error("no scan was taken");
  return { cpuMs: (user + system) / 1000 };
}

async function repeat<T>(act: () => Promise<T>): Promise<T[]> {
  const results: T[] = [];
  for (let left = SCANS; left > 0; left--) results.push(await act());
  return results;
}

/** Apart from the others, since it never sleeps. */
async function longestTurnMs(act: () => Promise<unknown>): Promise<number> {
  let longestMs = 0;
  let beforeMs = ranMs();
  let isGoingOn = true;
  const turn = () => {
    const nowMs = ranMs();
    longestMs = Math.max(longestMs, nowMs - beforeMs);
    beforeMs = nowMs;
    if (isGoingOn) setImmediate(turn);
  };
  setImmediate(turn);
  await act();
  isGoingOn = false;
  turn();
  return longestMs;
}

/** Time that the thread had a CPU (Documentation/scheduler/sched-stats.rst). */
function ranMs(): number {
  return Number(readFileSync("/proc/thread-self/schedstat", "utf8").split(" ")[0]) / 1e6;
}
