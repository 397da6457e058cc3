import { TCP_STATE_NAMES } from "../events/fields.ts";
import type { DiagRecord, SocketAddress, SocketProtocol } from "../kernel/sock-diag.ts";
import type { Destination, PortUse } from "./ports.schema.ts";
import type { PortRange } from "./range.ts";

interface Towards {
  readonly peer: SocketAddress;
  readonly ports: Set<number>;
  readonly sockets: Map<number, number>;
}

/** More peers than this are not told apart; each port is still counted as in use. */
const MAX_DESTINATIONS = 16_384;

const PORTS = 65_536;
const IN_USE = 1;
const WITHOUT_PEER = 2;
const LISTENING = 4;

/** Counts the sockets of one protocol in one network namespace. */
export class PortUsage {
  readonly #protocol: SocketProtocol;
  readonly #range: PortRange;
  readonly #flags = new Uint8Array(PORTS);
  readonly #destinations = new Map<string, Towards>();
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
    if (!this.#add(localPort, peerPort === 0 ? IN_USE | WITHOUT_PEER : IN_USE)) return;
    if (peerPort === 0 || this.#isListening(localPort)) return;
    const towards = this.#towards(socket);
    if (towards === undefined) return;
    towards.ports.add(localPort);
    towards.sockets.set(socket.state, (towards.sockets.get(socket.state) ?? 0) + 1);
  }

  use(): PortUse {
    let inUse = 0;
    let boundWithoutPeer = 0;
    const { low, high } = this.#range;
    for (let port = low; port <= high && this.#sockets > 0; port++) {
      const flags = this.#flags[port] ?? 0;
      inUse += flags & IN_USE;
      boundWithoutPeer += flags & WITHOUT_PEER ? 1 : 0;
    }
    return { in_use: inUse, bound_without_peer: boundWithoutPeer, sockets: this.#sockets };
  }

  /** Most ports first. */
  destinations(limit: number): Destination[] {
    return [...this.#destinations.values()]
      .sort((one, other) => other.ports.size - one.ports.size)
      .slice(0, limit)
      .map(({ peer, ports, sockets }) => ({
        protocol: this.#protocol,
        peer,
        ports: ports.size,
        states: Object.fromEntries(
          [...sockets].map(([state, count]) => [TCP_STATE_NAMES[state] ?? String(state), count]),
        ),
      }));
  }

  #add(port: number, flags: number): boolean {
    if (!this.#range.has(port)) return false;
    this.#flags[port] = (this.#flags[port] ?? 0) | flags;
    this.#sockets++;
    return true;
  }

  #isListening(port: number): boolean {
    return ((this.#flags[port] ?? 0) & LISTENING) !== 0;
  }

  #towards(socket: DiagRecord): Towards | undefined {
    const key = socket.peerKey();
    const known = this.#destinations.get(key);
    if (known !== undefined || this.#destinations.size >= MAX_DESTINATIONS) return known;
    const towards = { peer: socket.peer(), ports: new Set<number>(), sockets: new Map() };
    this.#destinations.set(key, towards);
    return towards;
  }
}
