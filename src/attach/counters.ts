import { type BpfMap, recordViews } from "libbpf-ts";
import { type Counters, decodeCounters } from "../events/events.gen.ts";

/** What became of the events of a probe in the kernel, on all CPUs together. */
export type KernelCounters = { readonly [Name in keyof Counters]: number };

export const NO_EVENTS: KernelCounters = {
  attempted: 0,
  emitted: 0,
  lost: 0,
  filtered: 0,
  rateLimited: 0,
  rateLimitedOrdinary: 0,
};

/** Sums the per-CPU counters. Never resets them: what came in between would be lost. */
export function readCounters(map: BpfMap): KernelCounters {
  let total = NO_EVENTS;
  for (const { buffer, byteOffset, byteLength } of map.lookupPerCpu(0) ?? []) {
    const views = recordViews(buffer as ArrayBuffer, byteOffset, byteLength);
    total = add(total, decodeCounters(views, 0));
  }
  return total;
}

function add(one: KernelCounters, other: Counters): KernelCounters {
  const names = Object.keys(one) as (keyof KernelCounters)[];
  const sums = names.map((name) => [name, one[name] + Number(other[name])]);
  return Object.fromEntries(sums) as KernelCounters;
}
