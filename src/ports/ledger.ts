import ipaddr from "ipaddr.js";
import { type BpfMap, type MapBatch, recordViews } from "libbpf-ts";
import {
  decodePortKey,
  decodePortOpener,
  type PortKey,
  portKeyLayout,
  portOpenerLayout,
} from "../events/events.gen.ts";
import type { SocketAddress, SocketProtocol } from "../kernel/sock-diag.ts";
import { yieldToEventLoop } from "../util/yielding.ts";

/** Who opened a port. */
export interface Opener {
  readonly pid: number;
  readonly comm: string;
  readonly uid: number;
  readonly cgroupId: number;
}

/** That a port was taken. */
export interface Opening {
  readonly port: number;
  /** Since the machine booted. */
  readonly atNs: bigint;
  readonly opener: Opener;
  /** By bind(), so that it was taken whatever the destination. */
  readonly isBound: boolean;
  /** The program asked for this port; else the kernel chose it. */
  readonly isFixed: boolean;
  /** See `endpointKey`; undefined: no peer. */
  readonly peerKey: string | undefined;
}

const PROTOCOLS = { tcp: 6, udp: 17 } as const;

/** Text of an address of 16 bytes and a port, for comparing. */
export function endpointKey(address: Uint8Array, port: number): string {
  return `${Buffer.from(address).toString("latin1")}${port}`;
}

/** Ports of one protocol in one network namespace, by whom they were opened last. */
export class Openings {
  readonly #byTuple = new Map<string, Opening>();

  add({ local }: PortKey, opening: Opening): void {
    const key = tupleKey(endpointKey(local.address, local.port), opening.peerKey);
    const known = this.#byTuple.get(key);
    if (known === undefined || known.atNs < opening.atNs) this.#byTuple.set(key, opening);
  }

  /** Of that connection. */
  ofConnection(localKey: string, peerKey: string): Opening | undefined {
    return this.#byTuple.get(tupleKey(localKey, peerKey));
  }

  /** Of a socket that is bound there. */
  ofBound(localKey: string): Opening | undefined {
    return this.#byTuple.get(tupleKey(localKey, undefined));
  }

  all(): Iterable<Opening> {
    return this.#byTuple.values();
  }
}

function tupleKey(localKey: string, peerKey: string | undefined): string {
  return `${localKey} ${peerKey ?? ""}`;
}

/** What the kernel programs note of who opened local ports: bpf/include/port_ledger.h. */
export class PortLedger {
  readonly #maps: () => readonly BpfMap[];

  /** `maps`: those that there are by now. */
  constructor(maps: () => readonly BpfMap[]) {
    this.#maps = maps;
  }

  /** `netns`: the namespace's cookie, or its inode number where the kernel has none. */
  async openings(netns: bigint, protocol: SocketProtocol): Promise<Openings> {
    const openings = new Openings();
    for (const map of this.#maps()) {
      for (const batch of map.batches()) {
        addThoseOf(openings, batch, netns, PROTOCOLS[protocol]);
        await yieldToEventLoop();
      }
    }
    return openings;
  }
}

/** Only those of the namespace are decoded: it may have a few of 65,536. */
function addThoseOf(openings: Openings, batch: MapBatch, netns: bigint, protocol: number): void {
  const keys = recordViews(batch.keys.buffer, 0, batch.keys.length);
  const values = recordViews(batch.values.buffer, 0, batch.values.length);
  const cookies = new BigUint64Array(batch.keys.buffer);
  const stride = portKeyLayout.size / BigUint64Array.BYTES_PER_ELEMENT;
  for (let index = 0; index < batch.count; index++) {
    if (cookies[index * stride] !== netns) continue;
    const key = decodePortKey(keys, index * portKeyLayout.size);
    if (key.protocol !== protocol) continue;
    const value = decodePortOpener(values, index * portOpenerLayout.size);
    const { pid, comm, uid } = value.process;
    openings.add(key, {
      port: key.local.port,
      atNs: value.timeNs,
      opener: { pid, comm, uid, cgroupId: Number(value.cgroupId) },
      isBound: value.isBound !== 0,
      isFixed: value.isFixed !== 0,
      peerKey: key.peer.port === 0 ? undefined : endpointKey(key.peer.address, key.peer.port),
    });
  }
}

/** As `endpointKey`, of an address in text. */
export function peerKeyOf({ address, port }: SocketAddress): string {
  const parsed = ipaddr.parse(address);
  const ipv6 = parsed instanceof ipaddr.IPv4 ? parsed.toIPv4MappedAddress() : parsed;
  return endpointKey(Uint8Array.from(ipv6.toByteArray()), port);
}

/** Of whom nothing is known. */
export const NO_LEDGER = new PortLedger(() => []);
