import { TCP_STATE_NAMES } from "../events/fields.ts";
import type { DiagRecord, SocketAddress, SocketProtocol } from "../kernel/sock-diag.ts";
import type { Destination, PortUse } from "./ports.schema.ts";
import type { PortRange } from "./range.ts";

interface Towards {
  readonly peer: SocketAddress;
  readonly ports: Set<number>;
  /** Sockets by state. */
  readonly states: Uint32Array;
}

/** More peers than this are not told apart; each port is still counted as in use. */
const MAX_DESTINATIONS = 16_384;

const PORTS = 65_536;
/** More than enum tcp_state has. */
const STATES = 16;
const IN_USE = 1;
const WITHOUT_PEER = 2;
const LISTENING = 4;

/** Counts the sockets of one protocol in one network namespace. */
export class PortUsage {
  readonly #protocol: SocketProtocol;
  readonly #range: PortRange;
  /** Of each port; most namespaces have no socket, and need none. */
  #flags: Uint8Array | undefined;
  readonly #destinations = new Map<number | string, Towards>();
  #sockets = 0;

  constructor(protocol: SocketProtocol, range: PortRange) {
    this.#protocol = protocol;
    this.#range = range;
  }

  addListener({ localPort }: DiagRecord): void {
    this.#add(localPort, IN_USE | WITHOUT_PEER | LISTENING);
  }

  /** After the listeners: what they accepted is on their port and takes no other one. */
  add(socket: DiagRecord): void {
    const { localPort, peerPort } = socket;
    const flags = this.#add(localPort, peerPort === 0 ? IN_USE | WITHOUT_PEER : IN_USE);
    if (flags === 0 || peerPort === 0 || (flags & LISTENING) !== 0) return;
    const towards = this.#towards(socket);
    if (towards === undefined) return;
    towards.ports.add(localPort);
    const { state } = socket;
    towards.states[state] = (towards.states[state] ?? 0) + 1;
  }

  use(): PortUse {
    let inUse = 0;
    let boundWithoutPeer = 0;
    const { low, high } = this.#range;
    for (let port = low; port <= high && this.#flags !== undefined; port++) {
      const flags = this.#flags[port] ?? 0;
      inUse += flags & IN_USE;
      boundWithoutPeer += flags & WITHOUT_PEER ? 1 : 0;
    }
    return { in_use: inUse, bound_without_peer: boundWithoutPeer, sockets: this.#sockets };
  }

  /** Most ports first. */
  destinations(limit: number): Destination[] {
    return mostPorts(this.#destinations.values(), limit).map(({ peer, ports, states }) => ({
      protocol: this.#protocol,
      peer,
      ports: ports.size,
      states: byName(states),
    }));
  }

  /** The port's flags now; 0: it does not count. */
  #add(port: number, flags: number): number {
    if (!this.#range.has(port)) return 0;
    this.#flags ??= new Uint8Array(PORTS);
    this.#sockets++;
    const all = (this.#flags[port] ?? 0) | flags;
    this.#flags[port] = all;
    return all;
  }

  #towards(socket: DiagRecord): Towards | undefined {
    const key = socket.peerKey();
    const known = this.#destinations.get(key);
    if (known !== undefined || this.#destinations.size >= MAX_DESTINATIONS) return known;
    const peer = socket.peer();
    const towards = { peer, ports: new Set<number>(), states: new Uint32Array(STATES) };
    this.#destinations.set(key, towards);
    return towards;
  }
}

/** The first of those with as many; in one pass, since there may be 16,384. */
function mostPorts(all: Iterable<Towards>, limit: number): readonly Towards[] {
  const most: Towards[] = [];
  for (const one of all) {
    const least = most[most.length - 1];
    if (most.length === limit && least !== undefined && one.ports.size <= least.ports.size)
      continue;
    if (most.length === limit) most.pop();
    const behind = most.findIndex((other) => other.ports.size < one.ports.size);
    most.splice(behind === -1 ? most.length : behind, 0, one);
  }
  return most;
}

function byName(states: Uint32Array): Record<string, number> {
  const named: Record<string, number> = {};
  for (const [state, count] of states.entries()) {
    if (count > 0) named[TCP_STATE_NAMES[state] ?? String(state)] = count;
  }
  return named;
}
