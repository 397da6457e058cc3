import { setTimeout as sleep } from "node:timers/promises";
import { type ParsedEvent, parseNdjson } from "./events.ts";
import { fetchAgain } from "./fetch.ts";

const SETTLE_MS = 150;
const DEADLINE_MS = 60_000;

/**
 * The events in the journal that match, once there are `count`; then waits a little longer, so
 * that one too many is seen as well.
 */
export async function eventsOf(
  url: string,
  count: number,
  query: Readonly<Record<string, string>>,
): Promise<ParsedEvent[]> {
  const address = `${url}/events?${new URLSearchParams({ ...query, follow: "false" })}`;
  const deadline = performance.now() + DEADLINE_MS;
  while (linesOf(await read(address)) < count && performance.now() < deadline) await sleep(20);
  await sleep(SETTLE_MS);
  return parseNdjson(await read(address));
}

async function read(address: string): Promise<string> {
  const response = await fetchAgain(address);
  if (response.status !== 200) throw new Error(`${address}: ${await response.text()}`);
  return response.text();
}

/** Heartbeats are empty lines. */
function linesOf(ndjson: string): number {
  return ndjson.split("\n").filter((line) => line !== "").length;
}

/** Values of one metric by its label text, for example `{probe="connect"}`. */
export async function metric(url: string, name: string): Promise<Map<string, number>> {
  return (await scrape(url))(name);
}

/** Metrics of one moment, by name, each by its labels. */
export async function scrape(url: string): Promise<(name: string) => Map<string, number>> {
  const text = await (await fetchAgain(`${url}/metrics`)).text();
  return (name) => {
    const found = new Map<string, number>();
    for (const line of text.split("\n")) {
      const [, full, labels = "", value] = /^([a-z_]+)(\{.*\})? (\S+)$/.exec(line) ?? [];
      if (full === name) found.set(labels, Number(value));
    }
    return found;
  };
}
