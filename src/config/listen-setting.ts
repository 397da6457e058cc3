import { isIP } from "node:net";
import { isHost, type ValueType, wholeNumber } from "./values.ts";

/** `fd`: a socket that is bound to it already. */
export type ListenAddress =
  | { readonly kind: "tcp"; readonly host: string; readonly port: number; readonly fd?: number }
  | { readonly kind: "unix"; readonly path: string; readonly fd?: number };

/** What is served there: every path, or those of a scraper. */
export type Scope = "all" | "metrics";

export type Listener = ListenAddress & { readonly scope: Scope };

/** As it is written: `systemd` leaves the addresses to the service manager. */
export type ListenSetting = Listener | { readonly kind: "systemd"; readonly scope: Scope };

/** sun_path holds 108 bytes with its final NUL (unix(7)). */
const UNIX_PATH_BYTES = 107;

const METRICS_SUFFIX = "=metrics";

/** Where the daemon's commands look for it, besides the default address. */
export const WELL_KNOWN_SOCKET = "/run/tuplewatch/tuplewatch.sock";

export const listeners: ValueType<readonly ListenSetting[]> = {
  placeholder: "HOST:PORT",
  expected:
    "HOST:PORT such as 127.0.0.1:5961 or [::1]:5961, unix:/PATH, or systemd for the sockets that " +
    "the service manager hands over; several, each once, separated by commas or spaces or with " +
    "the flag again; with =metrics it serves /metrics, /healthz and /readyz only",
  pieces,
  parse: (text) => {
    const all = pieces(text).map(parseListener);
    const known = all.filter((one) => one !== undefined);
    const names = new Set(known.map(formatListen));
    const isList = known.length > 0 && known.length === all.length && names.size === all.length;
    return isList ? known : undefined;
  },
};

function pieces(text: string): string[] {
  return text.split(/[\s,]+/).filter((piece) => piece !== "");
}

function parseListener(text: string): ListenSetting | undefined {
  const isForMetrics = text.endsWith(METRICS_SUFFIX);
  const scope = isForMetrics ? "metrics" : "all";
  const address = isForMetrics ? text.slice(0, -METRICS_SUFFIX.length) : text;
  if (address === "systemd") return { kind: "systemd", scope };
  const parsed = address.startsWith("unix:") ? parsePath(address) : parseHostPort(address);
  return parsed === undefined ? undefined : { ...parsed, scope };
}

function parsePath(text: string): ListenAddress | undefined {
  const path = text.slice("unix:".length);
  const fits = Buffer.byteLength(path) <= UNIX_PATH_BYTES && !path.includes("\0");
  return path.startsWith("/") && !path.endsWith("/") && fits ? { kind: "unix", path } : undefined;
}

function parseHostPort(text: string): ListenAddress | undefined {
  const [, bracketed, plain, digits = ""] = /^(?:\[([^\]]+)\]|([^:[\]]+)):(\d+)$/.exec(text) ?? [];
  const host = bracketed ?? plain ?? "";
  const port = wholeNumber(digits, 0, 65535);
  const hostIsValid = bracketed === undefined ? isHost(host) : isIP(host) === 6;
  return hostIsValid && port !== undefined ? { kind: "tcp", host, port } : undefined;
}

/** The address as it is written in `--listen`. */
export function formatListen(address: ListenAddress | { readonly kind: "systemd" }): string {
  if (address.kind === "systemd") return "systemd";
  if (address.kind === "unix") {
    return `unix:${address.path}`;
  }
  const host = isIP(address.host) === 6 ? `[${address.host}]` : address.host;
  return `${host}:${address.port}`;
}
