import { readFileSync } from "node:fs";

/** For rings, programs, files and the server's own sockets. */
const RESERVED = 256;

/** How many connections RLIMIT_NOFILE leaves room for; Node has raised it to the hard limit. */
export function connectionsThatFit(limits = readFileSync("/proc/self/limits", "utf8")): number {
  const soft = /^Max open files\s+(\d+|unlimited)/m.exec(limits)?.[1];
  const descriptors = soft === undefined || soft === "unlimited" ? Infinity : Number(soft);
  return Math.max(16, descriptors - RESERVED);
}
