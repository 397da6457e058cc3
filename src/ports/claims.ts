import { TCP_STATE_NAMES } from "../events/fields.ts";
import {
  type DiagRecord,
  LISTEN,
  listSockets,
  NOT_LISTEN,
  type SocketAddress,
  type SocketProtocol,
} from "../kernel/sock-diag.ts";
import { eachFamily } from "./count.ts";
import { endpointKey, type Opening, type Openings, peerKeyOf } from "./ledger.ts";

/** A socket, or one that was, because of which a port cannot be had. */
export interface Claim {
  readonly port: number;
  /** `closed`: it is gone, but it had the port when a call failed for want of one. */
  readonly state: "open" | "time_wait" | "orphaned" | "closed";
  /** Of TCP, as TCP_STATE_NAMES has it; undefined for what is closed. */
  readonly tcpState?: string | undefined;
  readonly opening: Opening | undefined;
  /** Of the file that a process holds; 0: none does. */
  readonly inode: number;
  /** The port is taken towards the peer in question. */
  readonly isTowards: boolean;
  /** It is taken whatever the destination. */
  readonly isLocked: boolean;
  /** Of a socket that is there; only where one port is asked for. */
  readonly socket?: ClaimingSocket;
}

/** A socket that has the port. */
export interface ClaimingSocket {
  readonly peer: SocketAddress | undefined;
  /** Name of its TCP state. */
  readonly state: string;
  /** The kernel chose the port, and the socket does not listen. */
  readonly isByChance: boolean;
}

export interface ClaimQuery {
  readonly protocol: SocketProtocol;
  readonly ports: PortSet;
  /** Whom the call wanted to reach; without one any use of a port is in its way. */
  readonly peer?: SocketAddress;
  readonly openings: Openings;
  /**
   * When a call failed of which is known that it found every port taken: whoever opened a port last
   * before that had it then. Undefined: sockets that are closed by now tell nothing.
   */
  readonly failedAtNs?: bigint;
}

/** Ports in question: those between the bounds that it has. */
export interface PortSet {
  readonly low: number;
  readonly high: number;
  has(port: number): boolean;
}

const MAX_SOCKETS = 262_144;

/**
 * By the kernel's list of sockets of the namespace in which `diag` was opened, and the ledger; where
 * the namespace is gone by that alone.
 */
export async function collectClaims(diag: number | undefined, query: ClaimQuery): Promise<Claim[]> {
  const live = diag === undefined ? [] : await liveClaims(diag, query);
  return [...live, ...closedClaims(query, live)];
}

async function liveClaims(diag: number, query: ClaimQuery): Promise<Claim[]> {
  const { protocol, ports } = query;
  const claims: Claim[] = [];
  const visit = (socket: DiagRecord) => {
    if (ports.has(socket.localPort) && claims.length < MAX_SOCKETS) {
      claims.push(claimOf(socket, query));
    }
  };
  const wanted = { states: NOT_LISTEN | LISTEN, ports };
  if (protocol === "tcp") await listSockets(diag, { protocol, ...wanted }, visit);
  else await eachFamily((family) => listSockets(diag, { protocol, family, ...wanted }, visit));
  return claims;
}

function claimOf(socket: DiagRecord, { protocol, peer, openings, ports }: ClaimQuery): Claim {
  const { localPort: port, peerPort, inode } = socket;
  const opening = openingOf(socket, openings);
  const isBound = socket.state === LISTEN_STATE || peerPort === 0 || opening?.isBound === true;
  return {
    port,
    state: inode !== 0 ? "open" : isTimeWait(socket) ? "time_wait" : "orphaned",
    ...(protocol === "tcp" && { tcpState: TCP_STATE_NAMES[socket.state] }),
    opening,
    inode,
    isTowards: isTowards(socket, peer),
    isLocked: protocol === "udp" || isBound,
    ...(ports.low === ports.high && { socket: describe(socket, opening) }),
  };
}

/** Of one that nobody was seen to open it is not known: a service's own connections are left behind, too. */
function describe(socket: DiagRecord, opening: Opening | undefined): ClaimingSocket {
  const { state, peerPort } = socket;
  const isListening = state === LISTEN_STATE;
  return {
    peer: peerPort === 0 ? undefined : socket.peer(),
    state: TCP_STATE_NAMES[state] ?? String(state),
    isByChance: !isListening && opening?.isFixed === false,
  };
}

const LISTEN_STATE = Math.log2(LISTEN);

/** By its own tuple, else by the listener's or whatever else is bound there. */
function openingOf(socket: DiagRecord, openings: Openings): Opening | undefined {
  const { localPort, peerPort, localAddress } = socket;
  const local = endpointKey(localAddress, localPort);
  if (peerPort !== 0) {
    const own = openings.ofConnection(local, endpointKey(socket.peerAddress, peerPort));
    if (own !== undefined) return own;
  }
  return (
    openings.ofBound(local) ??
    openings.ofBound(endpointKey(ANY_IPV4, localPort)) ??
    openings.ofBound(endpointKey(ANY_IPV6, localPort))
  );
}

const ANY_IPV6 = new Uint8Array(16);
const ANY_IPV4 = new Uint8Array(16).fill(0xff, 10, 12);

function isTowards(socket: DiagRecord, peer: SocketAddress | undefined): boolean {
  if (peer === undefined) return true;
  return socket.peerPort === peer.port && socket.peer().address === peer.address;
}

function isTimeWait({ state }: DiagRecord): boolean {
  return TCP_STATE_NAMES[state] === "time_wait";
}

/** Of each port that nothing is in the way of any more: who had it. */
function closedClaims(query: ClaimQuery, live: readonly Claim[]): Claim[] {
  const { failedAtNs, peer, ports, openings, protocol } = query;
  if (failedAtNs === undefined) return [];
  const taken = new Set(live.filter(isInTheWay).map(({ port }) => port));
  const towards = peer === undefined ? undefined : peerKeyOf(peer);
  const last = new Map<number, Opening>();
  for (const opening of openings.all()) {
    const { port, atNs, peerKey, isBound } = opening;
    if (!ports.has(port) || taken.has(port) || atNs > failedAtNs) continue;
    if (towards !== undefined && !isBound && peerKey !== towards) continue;
    if ((last.get(port)?.atNs ?? -1n) < atNs) last.set(port, opening);
  }
  return [...last.values()].map((opening) => ({
    port: opening.port,
    state: "closed",
    opening,
    inode: 0,
    isTowards: towards === undefined || opening.peerKey === towards,
    isLocked: protocol === "udp" || opening.isBound,
  }));
}

export function isInTheWay({ isTowards, isLocked }: Claim): boolean {
  return isTowards || isLocked;
}
