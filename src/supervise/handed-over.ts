import { isIP } from "node:net";
import { socketName } from "libbpf-ts";
import { UsageError } from "../config/usage-error.ts";
import type { ListenAddress } from "../config/values.ts";

/** The first descriptor that a service manager hands over (sd_listen_fds(3)). */
const LISTEN_FDS_START = 3;

/** Address families (socket(2)). */
const AF_UNIX = 1;
const AF_INET = 2;
const AF_INET6 = 10;

/**
 * Socket activation: the address and descriptor of the socket that the service manager bound, and
 * keeps over restarts.
 *
 * @throws UsageError if what the service manager did is not what the settings say.
 */
export function handedOverSocket(environment: NodeJS.ProcessEnv): ListenAddress {
  const { LISTEN_PID, LISTEN_FDS } = environment;
  if (Number(LISTEN_PID) !== process.pid || Number(LISTEN_FDS) !== 1) {
    throw cannotListen(
      "the service manager handed over " +
        `${LISTEN_FDS === undefined ? "no socket" : `${LISTEN_FDS} sockets, not one`} (LISTEN_FDS)`,
    );
  }
  return { ...parseSocketName(socketName(LISTEN_FDS_START)), fd: LISTEN_FDS_START };
}

/** A sockaddr_in, sockaddr_in6 or sockaddr_un. */
export function parseSocketName(bytes: Uint8Array): ListenAddress {
  const view = new DataView(bytes.buffer, bytes.byteOffset, bytes.byteLength);
  const family = view.getUint16(0, true);
  if (family === AF_UNIX) {
    const path = Buffer.from(bytes.subarray(2)).toString().replace(/\0+$/, "").replace(/^\0/, "@");
    return { kind: "unix", path };
  }
  if (family !== AF_INET && family !== AF_INET6) {
    throw cannotListen(`a socket of address family ${family}`);
  }
  const host = family === AF_INET ? [...bytes.subarray(4, 8)].join(".") : formatV6(view);
  return { kind: "tcp", host, port: view.getUint16(2, false) };
}

function formatV6(view: DataView): string {
  const groups = Array.from({ length: 8 }, (_, i) => view.getUint16(8 + 2 * i).toString(16));
  const host = groups.join(":");
  if (isIP(host) !== 6) throw cannotListen(`address ${host}`);
  // As everybody writes the two that matter.
  return { "0:0:0:0:0:0:0:0": "::", "0:0:0:0:0:0:0:1": "::1" }[host] ?? host;
}

function cannotListen(reason: string): UsageError {
  return new UsageError([`cannot listen on systemd: ${reason}`]);
}
