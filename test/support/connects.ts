import assert from "node:assert/strict";
import { start } from "./commands.ts";
import type { ParsedEvent } from "./events.ts";
import { eventsOf } from "./feed.ts";
import { Netns } from "./netns.ts";
import { until } from "./until.ts";

/** What test/faults/connects.py prints. */
export interface Attempts {
  readonly pid: number;
  readonly netns: number;
  /** The kernel's own count for the namespace. */
  readonly syn_retransmits: number;
  readonly attempts: readonly { readonly result: string; readonly local: [string, number] }[];
}

export type Sysctls = Readonly<Record<string, string>>;

/**
 * Makes `count` attempts of a kind in a new network namespace, and waits for `expected` events of
 * the process that made them.
 */
export async function provoke(
  url: string,
  kind: string,
  count: number,
  expected: number,
  sysctls: Sysctls = {},
): Promise<{ made: Attempts; events: ParsedEvent[] }> {
  const netns = new Netns();
  try {
    for (const [name, value] of Object.entries(sysctls)) netns.sysctl(name, value);
    const made = netns.fault<Attempts>("connects.py", kind, String(count));
    const query = { type: "connect", pid: String(made.pid) };
    return { made, events: await eventsOf(url, expected, query) };
  } finally {
    netns.delete();
  }
}

/** How often each value of a field occurs. */
export function tally(events: readonly ParsedEvent[], field: string): Record<string, number> {
  const counts: Record<string, number> = {};
  for (const event of events) {
    const value = String(event[field]);
    counts[value] = (counts[value] ?? 0) + 1;
  }
  return counts;
}

/** Fails unless a connect made now is an event. */
export async function seesConnect({ url }: { url: string }): Promise<void> {
  const program = "import socket; socket.socket().connect_ex(('127.0.0.1', 9))";
  const { child, done } = start("python3", ["-c", program]);
  await done;
  const query = { type: "connect", pid: String(child.pid) };
  const find = async () => (await eventsOf(url, 1, query)).filter(({ type }) => type === "connect");
  // A gap, which is for all readers, may be there already.
  await until(async () => (await find()).length > 0, "the event");
  assert.equal((await find()).length, 1);
}
