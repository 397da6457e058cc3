import { BpfMap, MapType, pageBytes } from "libbpf-ts";
import { countersLayout } from "../events/events.gen.ts";
import type { KeptMap } from "../probes/probe.ts";

/**
 * What a probe's programs share with the daemon, whichever backend they belong to: made once and
 * used again by each, so that a change of backend loses and mixes up nothing. Who reads the ring
 * maps it.
 */
export class ProbeMaps {
  readonly events: BpfMap;
  readonly counters: BpfMap;
  /** By name. */
  readonly all: ReadonlyMap<string, BpfMap>;

  private constructor(events: BpfMap, counters: BpfMap, others: readonly BpfMap[]) {
    this.events = events;
    this.counters = counters;
    this.all = new Map([events, counters, ...others].map((map) => [map.name, map]));
  }

  /** @throws BpfError */
  static create(ringBytes: number, others: readonly KeptMap[] = []): ProbeMaps {
    const maxEntries = Math.max(ringBytes, pageBytes());
    const made: BpfMap[] = [];
    const keep = (map: BpfMap) => {
      made.push(map);
      return map;
    };
    try {
      const events = keep(BpfMap.create({ type: MapType.RINGBUF, name: "events", maxEntries }));
      const counters = keep(createCounters());
      return new ProbeMaps(
        events,
        counters,
        others.map((spec) => keep(BpfMap.create(spec))),
      );
    } catch (error) {
      for (const map of made) map.close();
      throw error;
    }
  }

  /** The kernel frees them with their last program. */
  close(): void {
    for (const map of this.all.values()) map.close();
  }
}

/** `counters` in bpf/include/emit.h. */
function createCounters(): BpfMap {
  const { size: valueSize } = countersLayout;
  const type = MapType.PERCPU_ARRAY;
  return BpfMap.create({ type, name: "counters", keySize: 4, valueSize, maxEntries: 1 });
}
