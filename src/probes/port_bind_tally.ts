import { type BpfMap, MapType, recordViews } from "libbpf-ts";
import { decodePortBindKind, portBindKindLayout } from "../events/events.gen.ts";
import type { KeptMap } from "./probe.ts";

const COUNT_BYTES = 8;

/** `port_bind_tallies` of bpf/port_bind/request.h. */
export const PORT_BIND_TALLIES: KeptMap = {
  name: "port_bind_tallies",
  type: MapType.PERCPU_HASH,
  keySize: portBindKindLayout.size,
  valueSize: COUNT_BYTES,
  maxEntries: 256,
};

/** Calls of one kind since the start, on all CPUs. */
export interface PortBindTally {
  /** 0, or a positive errno. */
  readonly error: number;
  /** IPPROTO_* */
  readonly protocol: number;
  /** enum bind_technique */
  readonly bindTechnique: number;
  readonly count: number;
}

/** What `map` has. @throws BpfError */
export function readPortBindTallies(map: BpfMap): PortBindTally[] {
  return map.keys().flatMap((key) => {
    const kind = decodePortBindKind(recordViews(key.buffer as ArrayBuffer, 0, key.length), 0);
    const values = map.lookupPerCpu(key);
    return values === undefined ? [] : [{ ...kind, count: sum(values) }];
  });
}

function sum(values: readonly Uint8Array[]): number {
  return values.reduce((total, { buffer, byteOffset }) => {
    return total + Number(new DataView(buffer, byteOffset).getBigUint64(0, true));
  }, 0);
}
