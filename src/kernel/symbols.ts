import { readFileSync } from "node:fs";

/** The kernel's symbols and those of its modules: some 10 MB, so read them once for many searches. */
export function readSymbols(): string {
  return readFileSync("/proc/kallsyms", "latin1");
}

/**
 * The symbol under which a kernel function can be probed: its own name, or the one that the
 * compiler gave a specialised copy ("tcp_send_challenge_ack.constprop.0" on 5.10). Parts split off
 * a function (.part, .cold) are not the function. Undefined when it is not there at all, or was
 * inlined everywhere.
 */
export function findSymbol(functionName: string, kallsyms: string): string | undefined {
  const line = new RegExp(
    String.raw`^[0-9a-f]+ [tTwW] (${functionName}(?:\.(?:constprop|isra)\.\d+)*)(?:\t|$)`,
    "m",
  );
  return line.exec(kallsyms)?.[1];
}
