import type { ParsedEvent } from "./events.ts";
import { eventsOf } from "./feed.ts";
import { Netns } from "./netns.ts";

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
