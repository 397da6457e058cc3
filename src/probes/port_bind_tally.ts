import { type BpfMap, MapType, recordViews } from "libbpf-ts";
import {
  bindTechniqueNames,
  decodePortBindKind,
  portBindKindLayout,
} from "../events/events.gen.ts";
import { enumValue } from "../events/fields.ts";
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

/** `autobinds` of bpf/port_bind/port_bind.bpf.c: of UDP sockets, that went well. */
export const AUTOBINDS: KeptMap = {
  name: "autobinds",
  type: MapType.PERCPU_ARRAY,
  keySize: 4,
  valueSize: COUNT_BYTES,
  maxEntries: 1,
};

const AUTOBIND = {
  error: 0,
  protocol: 17,
  bindTechnique: enumValue(bindTechniqueNames, "autobind"),
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

/** What `map` has, and beside it `autobinds`, of the same kind as some there. @throws BpfError */
export function readPortBindTallies(map: BpfMap, autobinds: BpfMap | undefined): PortBindTally[] {
  const counted = readKinds(map);
  const other = counted.filter(({ error, protocol, bindTechnique }) => {
    const isAutobind = bindTechnique === AUTOBIND.bindTechnique && protocol === AUTOBIND.protocol;
    return error !== 0 || !isAutobind;
  });
  const listed = counted.filter((tally) => !other.includes(tally));
  const count = listed.reduce(
    (total, one) => total + one.count,
    sum(autobinds?.lookupPerCpu(0) ?? []),
  );
  return [...other, { ...AUTOBIND, count }];
}

function readKinds(map: BpfMap): PortBindTally[] {
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
