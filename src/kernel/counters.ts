import type { BpfMap } from "libbpf-ts";

/** What became of the events of a probe in the kernel; see struct counters in bpf/emit.h. */
export interface KernelCounters {
  readonly attempted: number;
  readonly emitted: number;
  readonly lost: number;
  readonly filtered: number;
}

const FIELDS = ["attempted", "emitted", "lost", "filtered"] as const;

const NO_EVENTS: KernelCounters = { attempted: 0, emitted: 0, lost: 0, filtered: 0 };

/** Sums the per-CPU counters. Never resets them: what came in between would be lost. */
export function readCounters(map: BpfMap): KernelCounters {
  const total = { ...NO_EVENTS };
  for (const value of map.lookupPerCpu(0) ?? []) {
    const view = new DataView(value.buffer, value.byteOffset, value.byteLength);
    FIELDS.forEach((field, index) => {
      total[field] += Number(view.getBigUint64(index * 8, true));
    });
  }
  return total;
}
