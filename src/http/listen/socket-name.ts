import { isIP } from "node:net";
import { Posix } from "libbpf-ts";
import type { ListenAddress } from "../../config/listen-setting.ts";

/** A sockaddr_in, sockaddr_in6 or sockaddr_un. @throws Error for another family */
export function parseSocketName(bytes: Uint8Array): ListenAddress {
  const view = new DataView(bytes.buffer, bytes.byteOffset, bytes.byteLength);
  const family = view.getUint16(0, true);
  if (family === Posix.AF_UNIX) {
    const path = Buffer.from(bytes.subarray(2)).toString().replace(/\0+$/, "").replace(/^\0/, "@");
    return { kind: "unix", path };
  }
  if (family !== Posix.AF_INET && family !== Posix.AF_INET6) {
    throw new Error(`a socket of address family ${family}`);
  }
  const host = family === Posix.AF_INET ? [...bytes.subarray(4, 8)].join(".") : formatV6(view);
  return { kind: "tcp", host, port: view.getUint16(2, false) };
}

function formatV6(view: DataView): string {
  const groups = Array.from({ length: 8 }, (_, i) => view.getUint16(8 + 2 * i).toString(16));
  const host = groups.join(":");
  if (isIP(host) !== 6) throw new Error(`address ${host}`);
  // As everybody writes the two that matter.
  return { "0:0:0:0:0:0:0:0": "::", "0:0:0:0:0:0:0:1": "::1" }[host] ?? host;
}
