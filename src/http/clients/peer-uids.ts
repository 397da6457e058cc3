import type { Socket } from "node:net";
import { closeFd, Posix, socketOption } from "libbpf-ts";
import { findTcpOwner, openSockDiag } from "../../kernel/sock-diag.ts";

/** struct ucred: pid, uid, gid. */
const UCRED_BYTES = 12;

/** Which local user is at the other end of a connection, as the kernel knows it. */
export class PeerUids {
  #diag: number | undefined;

  /** The descriptor is opened now, since there may be none left when it is needed. */
  constructor() {
    try {
      this.#diag = openSockDiag();
    } catch {
      // A kernel without sock_diag: local users then share what their addresses may have.
    }
  }

  /** Who connected (unix(7), SO_PEERCRED). */
  ofUnixSocket(socket: Socket): number | undefined {
    // Not documented, but there since Node 0.x; without it all share one quota.
    const { fd } = (socket as { _handle?: { fd?: number } })._handle ?? {};
    if (fd === undefined || fd < 0) return undefined;
    const credentials = Buffer.alloc(UCRED_BYTES);
    try {
      socketOption(fd, Posix.SOL_SOCKET, Posix.SO_PEERCRED, credentials);
    } catch {
      return undefined;
    }
    return credentials.readUInt32LE(4);
  }

  /** Both ends of a connection over loopback are in this network namespace. */
  ofLoopback({ localAddress, localPort, remoteAddress, remotePort }: Socket): number | undefined {
    if (this.#diag === undefined || localAddress === undefined || remoteAddress === undefined) {
      return undefined;
    }
    const [here, there] = [
      { address: localAddress, port: localPort ?? 0 },
      { address: remoteAddress, port: remotePort ?? 0 },
    ];
    try {
      return findTcpOwner(this.#diag, there, here);
    } catch {
      return undefined;
    }
  }

  close(): void {
    if (this.#diag !== undefined) closeFd(this.#diag);
    this.#diag = undefined;
  }
}
