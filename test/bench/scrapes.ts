import { readFileSync } from "node:fs";
import { get } from "node:http";
import { setTimeout as sleep } from "node:timers/promises";
import { type Figure, percentile } from "./statistics.ts";

const LIMIT_MS = 10_000;

/** Milliseconds of each of `count` scrapes, one after the other, each on a connection of its own. */
async function scrape(url: string, count: number, pauseMs: number): Promise<number[]> {
  const took: number[] = [];
  for (let i = 0; i < count; i++) {
    const startedAt = performance.now();
    await scrapeOnce(url);
    took.push(performance.now() - startedAt);
    await sleep(pauseMs);
  }
  return took;
}

function scrapeOnce(url: string): Promise<void> {
  return new Promise((resolve, reject) => {
    const request = get(`${url}/metrics`, { agent: false, timeout: LIMIT_MS }, (response) => {
      const { statusCode } = response;
      response.resume().on("end", () => {
        if (statusCode === 200) resolve();
        else reject(new Error(`/metrics: status ${statusCode}`));
      });
      response.on("error", reject);
    });
    request.on("timeout", () => request.destroy(new Error(`/metrics: ${LIMIT_MS} ms`)));
    request.on("error", reject);
  });
}

export interface Scrapes {
  readonly tookMs: readonly number[];
  /** Share of the time in which the daemon could have run and had no CPU, by the machine's load. */
  readonly waiting: number;
}

/** `pid` of the daemon that is scraped, for how long it waits for a CPU meanwhile. */
export async function scrapeAll(
  { url, pid }: { readonly url: string; readonly pid: number },
  count: number,
  pauseMs: number,
): Promise<Scrapes> {
  const [startedMs, waitedBefore] = [performance.now(), runQueueMs(pid)];
  const tookMs = await scrape(url, count, pauseMs);
  const waiting = (runQueueMs(pid) - waitedBefore) / (performance.now() - startedMs);
  return { tookMs, waiting };
}

/** Time that the main thread has spent on a run queue (Documentation/scheduler/sched-stats.rst). */
function runQueueMs(pid: number): number {
  return Number(readFileSync(`/proc/${pid}/task/${pid}/schedstat`, "utf8").split(" ")[1]) / 1e6;
}

export function latencyFigures(
  name: string,
  { tookMs, waiting }: Scrapes,
  aimMs?: number,
): Figure[] {
  return [
    { name: `${name}: /metrics, median`, value: percentile(tookMs, 50), unit: "ms" },
    {
      name: `${name}: /metrics, 99th percentile`,
      value: percentile(tookMs, 99),
      unit: "ms",
      ...(aimMs !== undefined && { aim: `<= ${aimMs}` }),
    },
    { name: `${name}: /metrics, longest`, value: Math.max(...tookMs), unit: "ms" },
    { name: `${name}: daemon kept from the CPU`, value: waiting * 100, unit: "% of the time" },
  ];
}
