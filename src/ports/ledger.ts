import ipaddr from "ipaddr.js";
import { type BpfMap, recordViews } from "libbpf-ts";
import { decodePortEntry, type PortKey, portEntryLayout } from "../events/events.gen.ts";
import type { SocketAddress, SocketProtocol } from "../kernel/sock-diag.ts";

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

/** No cookie is as large as an inode number of a namespace (PROC_DYNAMIC_FIRST, 0xf0000000). */
export interface NetnsIdentity {
  readonly cookie?: bigint | string | undefined;
  readonly inum?: number | undefined;
}

/** What the kernel programs note of who opened local ports: bpf/include/port_ledger.h. */
export class PortLedger {
  readonly #maps: () => readonly BpfMap[];

  /** `maps`: those that there are by now. */
  constructor(maps: () => readonly BpfMap[]) {
    this.#maps = maps;
  }

  /** Of a namespace; the kernel programs know it by its inode number before Linux 5.15. */
  openings({ cookie, inum }: NetnsIdentity, protocol: SocketProtocol): Openings {
    const netns = [cookie, inum].filter((number) => number !== undefined).map(BigInt);
    const openings = new Openings();
    for (const map of this.#maps()) {
      const { maxEntries } = map.info;
      map.withMemory((values) =>
        addThoseOf(openings, values, maxEntries, { netns, protocol: PROTOCOLS[protocol] }),
      );
    }
    return openings;
  }
}

const WORDS_PER_ENTRY = portEntryLayout.size / Uint32Array.BYTES_PER_ELEMENT;

/** Only those of the namespace are decoded: it may have a few of 81,920. */
function addThoseOf(
  openings: Openings,
  values: ArrayBuffer,
  count: number,
  wanted: { readonly netns: readonly bigint[]; readonly protocol: number },
): void {
  const views = recordViews(values, 0, values.byteLength);
  const words = new Uint32Array(values);
  const lows = wanted.netns.map((netns) => Number(BigInt.asUintN(32, netns)));
  for (let index = 0; index < count; index++) {
    const at = index * WORDS_PER_ENTRY;
    if (!lows.includes(words[at] as number)) continue;
    const { key, opener } = decodePortEntry(views, index * portEntryLayout.size);
    if (!wanted.netns.includes(key.netns)) continue;
    if (key.protocol !== wanted.protocol || opener.timeNs === 0n) continue;
    const { pid, comm, uid } = opener.process;
    openings.add(key, {
      port: key.local.port,
      atNs: opener.timeNs,
      opener: { pid, comm, uid, cgroupId: Number(opener.cgroupId) },
      isBound: opener.isBound !== 0,
      isFixed: opener.isFixed !== 0,
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
