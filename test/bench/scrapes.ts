import { get } from "node:http";
import { setTimeout as sleep } from "node:timers/promises";
import { type Figure, percentile } from "./statistics.ts";

const LIMIT_MS = 10_000;

/** Milliseconds of each of `count` scrapes, one after the other, each on a connection of its own. */
export async function scrape(url: string, count: number, pauseMs: number): Promise<number[]> {
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

export function latencyFigures(name: string, tookMs: readonly number[], aimMs?: number): Figure[] {
  return [
    { name: `${name}: /metrics, median`, value: percentile(tookMs, 50), unit: "ms" },
    {
      name: `${name}: /metrics, 99th percentile`,
      value: percentile(tookMs, 99),
      unit: "ms",
      ...(aimMs !== undefined && { aim: `<= ${aimMs}` }),
    },
    { name: `${name}: /metrics, longest`, value: Math.max(...tookMs), unit: "ms" },
  ];
}
