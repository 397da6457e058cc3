import { isIP } from "node:net";

/** How one kind of value is written, checked and shown. */
export interface ValueType<T> {
  /** Stands for the value in `--help`. */
  readonly placeholder: string;
  /** Ends the sentence "expected ...". */
  readonly expected: string;
  /** Undefined when `text` is not such a value. */
  parse(text: string): T | undefined;
}

/** `fd`: a socket that is bound to it already. */
export type ListenAddress =
  | { readonly kind: "tcp"; readonly host: string; readonly port: number; readonly fd?: number }
  | { readonly kind: "unix"; readonly path: string; readonly fd?: number };

/** As it is written: `systemd` leaves the address to the service manager. */
export type ListenSetting = ListenAddress | { readonly kind: "systemd" };

const SIZE_UNITS = new Map([
  ["", 1],
  ["b", 1],
  ["kib", 1024],
  ["mib", 1024 ** 2],
  ["gib", 1024 ** 3],
]);

/** sun_path holds 108 bytes with its final NUL (unix(7)). */
const UNIX_PATH_BYTES = 107;

const HOST_NAME = /^[a-z0-9]([a-z0-9-]*[a-z0-9])?(\.[a-z0-9]([a-z0-9-]*[a-z0-9])?)*$/i;

export function choice<const T extends string>(names: readonly T[]): ValueType<T> {
  return {
    placeholder: "NAME",
    expected: `one of ${names.join(", ")}`,
    parse: (text) => names.find((name) => name === text),
  };
}

/** Names separated by commas, or `all`. Neither order nor repetition counts. */
export function choices<const T extends string>(names: readonly T[]): ValueType<readonly T[]> {
  return {
    placeholder: "LIST",
    expected: `all, or a comma-separated list of ${names.join(", ")}`,
    parse: (text) => {
      const wanted = text.split(",").map((part) => part.trim());
      if (wanted.length === 1 && wanted[0] === "all") {
        return names;
      }
      const known = wanted.every((part) => names.some((name) => name === part));
      return known ? names.filter((name) => wanted.includes(name)) : undefined;
    },
  };
}

/** As useradd(8) allows them, and auto. */
export const userName: ValueType<string> = {
  placeholder: "NAME",
  expected: "auto, or a user of /etc/passwd (root: do not change)",
  parse: (text) => (/^[a-z_][a-z0-9_.-]{0,30}\$?$/i.test(text) ? text : undefined),
};

export function integer(min: number, max: number): ValueType<number> {
  return {
    placeholder: "N",
    expected: `a whole number from ${min} to ${max}`,
    parse: (text) => wholeNumber(text, min, max),
  };
}

/** Bytes, with an optional binary unit. */
export function size(
  min: number,
  max: number,
  rule: "any" | "power_of_two" = "any",
): ValueType<number> {
  const kind = rule === "power_of_two" ? "a power of two" : "a size";
  return {
    placeholder: "SIZE",
    expected: `${kind} from ${formatSize(min)} to ${formatSize(max)}, such as 512KiB or 1MiB`,
    parse: (text) => {
      const [, digits = "", unit = ""] = /^(\d+) ?([a-z]*)$/i.exec(text) ?? [];
      const count = wholeNumber(digits, 0, Number.MAX_SAFE_INTEGER);
      const factor = SIZE_UNITS.get(unit.toLowerCase());
      if (count === undefined || factor === undefined) {
        return undefined;
      }
      const bytes = count * factor;
      const inRange = bytes >= min && bytes <= max;
      const allowed = rule === "any" || Number.isInteger(Math.log2(bytes));
      return inRange && allowed ? bytes : undefined;
    },
  };
}

/** `fallback` is accepted too and stands for "let the daemon find it". */
export function absolutePath<const F extends string>(fallback: F): ValueType<string> {
  return {
    placeholder: "PATH",
    expected: `an absolute path, or ${fallback}`,
    parse: (text) =>
      text === fallback || (text.startsWith("/") && !text.includes("\0")) ? text : undefined,
  };
}

/** `fallback` is accepted too and stands for no file. */
export function filePath<const F extends string>(fallback: F): ValueType<string> {
  return {
    placeholder: "FILE",
    expected: `the path of a file, or ${fallback}`,
    parse: (text) => (text !== "" && !text.includes("\0") ? text : undefined),
  };
}

/** Host names and addresses in lower case, without brackets. */
export const hostList: ValueType<"any" | "auto" | readonly string[]> = {
  placeholder: "LIST",
  expected: "auto, any, or a comma-separated list of host names and addresses",
  parse: (text) => {
    if (text === "auto" || text === "any") return text;
    const hosts = text.split(",").map((part) => part.trim().toLowerCase());
    const plain = hosts.map((host) => host.replace(/^\[(.*)\]$/, "$1"));
    return plain.every((host) => isIP(host) === 6 || isHost(host)) ? plain : undefined;
  },
};

export const listenAddress: ValueType<ListenSetting> = {
  placeholder: "HOST:PORT",
  expected:
    "HOST:PORT such as 127.0.0.1:5961 or [::1]:5961, unix:/PATH, or systemd for the socket that " +
    "the service manager hands over",
  parse: (text) => {
    if (text === "systemd") return { kind: "systemd" };
    if (text.startsWith("unix:")) {
      const path = text.slice("unix:".length);
      const fits = Buffer.byteLength(path) <= UNIX_PATH_BYTES && !path.includes("\0");
      return path.startsWith("/") && fits ? { kind: "unix", path } : undefined;
    }
    const [, bracketed, plain, digits = ""] =
      /^(?:\[([^\]]+)\]|([^:[\]]+)):(\d+)$/.exec(text) ?? [];
    const host = bracketed ?? plain ?? "";
    const port = wholeNumber(digits, 0, 65535);
    const hostIsValid = bracketed === undefined ? isHost(host) : isIP(host) === 6;
    return hostIsValid && port !== undefined ? { kind: "tcp", host, port } : undefined;
  },
};

/** The address as it is written in `--listen`. */
export function formatListen(address: ListenSetting): string {
  if (address.kind === "systemd") return "systemd";
  if (address.kind === "unix") {
    return `unix:${address.path}`;
  }
  const host = isIP(address.host) === 6 ? `[${address.host}]` : address.host;
  return `${host}:${address.port}`;
}

export function formatSize(bytes: number): string {
  for (const [factor, unit] of [
    [1024 ** 3, "GiB"],
    [1024 ** 2, "MiB"],
    [1024, "KiB"],
  ] as const) {
    if (bytes >= factor && bytes % factor === 0) {
      return `${bytes / factor}${unit}`;
    }
  }
  return String(bytes);
}

/** Decimal digits only: no sign, no exponent, no hexadecimal. */
export function wholeNumber(text: string, min: number, max: number): number | undefined {
  const value = /^\d{1,16}$/.test(text) ? Number(text) : Number.NaN;
  return Number.isSafeInteger(value) && value >= min && value <= max ? value : undefined;
}

/** What looks like an IPv4 address must be one: 127.0.0.256 is no host name. */
function isHost(host: string): boolean {
  return isIP(host) === 4 || (host.length <= 253 && HOST_NAME.test(host) && /[a-z]/i.test(host));
}
