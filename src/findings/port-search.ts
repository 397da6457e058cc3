import { SLOW_PORT_SEARCH_NS } from "../events/slow-port-search.ts";
import { type ConnectObserved, timeMs } from "./observed.ts";

/** A search may have been interrupted: hence several. */
const MIN_SLOW = 3;
const WINDOW_MS = 10_000;
const MAX_KEPT = 16;

/** Connects towards one destination whose local port took the kernel long to find. */
export class SlowSearches {
  readonly #last: { readonly atMs: number; readonly seq: number }[] = [];

  /** Whether there are now enough within the window. */
  note(event: ConnectObserved): boolean {
    if (this.#last.length === MAX_KEPT) this.#last.shift();
    this.#last.push({ atMs: timeMs(event), seq: event.seq });
    return this.within(timeMs(event)).length >= MIN_SLOW;
  }

  /** Seqs of those in the window that ends at that time. */
  within(nowMs: number): readonly number[] {
    return this.#last.filter(({ atMs }) => nowMs - atMs <= WINDOW_MS).map(({ seq }) => seq);
  }
}

/** Of TCP, where the kernel chose the port from the namespace's range and found one. */
export function isSlowSearch(event: ConnectObserved): boolean {
  const { protocol, result, port_range: ownRange, port_search_ns: searchNs = 0 } = event;
  if (protocol !== "tcp" || result === "EADDRNOTAVAIL" || ownRange !== undefined) return false;
  return searchNs >= SLOW_PORT_SEARCH_NS;
}
