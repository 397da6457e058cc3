import { BpfMap, MapType, pageBytes } from "libbpf-ts";
import { countersLayout } from "../events/events.gen.ts";

/**
 * What a probe's programs share with the daemon, whichever backend they belong to: made once and
 * used again by each, so that a change of backend loses and mixes up nothing. Who reads the ring
 * maps it.
 */
export class ProbeMaps {
  readonly events: BpfMap;
  readonly counters: BpfMap;

  private constructor(events: BpfMap, counters: BpfMap) {
    this.events = events;
    this.counters = counters;
  }

  /** @throws BpfError */
  static create(ringBytes: number): ProbeMaps {
    const maxEntries = Math.max(ringBytes, pageBytes());
    const events = BpfMap.create({ type: MapType.RINGBUF, name: "events", maxEntries });
    try {
      return new ProbeMaps(events, createCounters());
    } catch (error) {
      events.close();
      throw error;
    }
  }

  /** The kernel frees them with their last program. */
  close(): void {
    this.events.close();
    this.counters.close();
  }
}

/** `counters` in bpf/include/emit.h. */
function createCounters(): BpfMap {
  const { size: valueSize } = countersLayout;
  const type = MapType.PERCPU_ARRAY;
  return BpfMap.create({ type, name: "counters", keySize: 4, valueSize, maxEntries: 1 });
}
