import { isIP } from "node:net";

/** How one kind of value is written, checked and shown. */
export interface ValueType<T> {
  /** Stands for the value in `--help`. */
  readonly placeholder: string;
  /** Ends the sentence "expected ...". */
  readonly expected: string;
  /** Undefined when `text` is not such a value. */
  parse(text: string): T | undefined;
  /** Of a list that may also be given piece by piece: those pieces, which `parse` takes alone. */
  pieces?(text: string): readonly string[];
}

const SIZE_UNITS = new Map([
  ["", 1],
  ["b", 1],
  ["kib", 1024],
  ["mib", 1024 ** 2],
  ["gib", 1024 ** 3],
]);

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
export function isHost(host: string): boolean {
  return isIP(host) === 4 || (host.length <= 253 && HOST_NAME.test(host) && /[a-z]/i.test(host));
}
