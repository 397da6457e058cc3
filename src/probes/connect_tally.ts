import { type BpfMap, MapType, recordViews } from "libbpf-ts";
import {
  connectKindLayout,
  connectTallyLayout,
  decodeConnectKind,
  decodeConnectTally,
} from "../events/events.gen.ts";
import { NS_PER_SECOND } from "../util/units.ts";
import type { KeptMap } from "./probe.ts";

/** Loopback takes tens of microseconds; SYN retransmits fall at 1, 3, 7, 15 ... seconds. */
export const BUCKETS_SECONDS: readonly number[] = [
  0.0001, 0.0005, 0.001, 0.005, 0.02, 0.1, 0.5, 1, 2, 4, 8, 16, 32, 64,
];

/** `connect_tallies` of bpf/connect/tally.h. */
export const TALLIES: KeptMap = {
  name: "connect_tallies",
  type: MapType.PERCPU_HASH,
  keySize: connectKindLayout.size,
  valueSize: connectTallyLayout.size,
  maxEntries: 512,
};

/** Connects of one kind since the start, of all CPUs. */
export interface ConnectTally {
  /** 0, a positive errno, or -1: not known. */
  readonly error: number;
  /** IPPROTO_* */
  readonly protocol: number;
  /** enum technique */
  readonly technique: number;
  readonly durationNs: number;
  readonly synRetransmits: number;
  readonly conflicts: number;
  /** Durations up to each of BUCKETS_SECONDS, and above; together the number of connects. */
  readonly buckets: readonly number[];
}

/** For `config_duration_bounds_ns`. */
export function durationBounds(): Uint8Array {
  const bounds = BUCKETS_SECONDS.map((seconds) => BigInt(Math.round(seconds * NS_PER_SECOND)));
  return new Uint8Array(BigUint64Array.from(bounds).buffer);
}

/** What `map` has. @throws BpfError */
export function readConnectTallies(map: BpfMap): ConnectTally[] {
  return map.keys().flatMap((key) => {
    const kind = decodeConnectKind(recordViews(key.buffer as ArrayBuffer, 0, key.length), 0);
    const values = map.lookupPerCpu(key);
    return values === undefined ? [] : [{ ...kind, ...sum(values) }];
  });
}

function sum(
  values: readonly Uint8Array[],
): Omit<ConnectTally, "error" | "protocol" | "technique"> {
  let [durationNs, synRetransmits, conflicts] = [0, 0, 0];
  const buckets = new Array<number>(BUCKETS_SECONDS.length + 1).fill(0);
  for (const { buffer, byteOffset, byteLength } of values) {
    const views = recordViews(buffer as ArrayBuffer, byteOffset, byteLength);
    const one = decodeConnectTally(views, 0);
    durationNs += Number(one.durationNs);
    synRetransmits += Number(one.synRetransmits);
    conflicts += Number(one.conflicts);
    for (const [index, count] of one.buckets.entries()) {
      buckets[index] = (buckets[index] ?? 0) + Number(count);
    }
  }
  return { durationNs, synRetransmits, conflicts, buckets };
}
