import { closeSync, openSync, readSync } from "node:fs";

const CHUNK_BYTES = 256 * 1024;

/**
 * Code symbols of the kernel and its modules whose name begins with one of `functionNames`, one per
 * line. The file is read in pieces: it has some 10 MB, of which a few lines are wanted.
 */
export function readSymbols(functionNames: readonly string[], path = "/proc/kallsyms"): string {
  if (functionNames.length === 0) return "";
  const line = new RegExp(String.raw`^[0-9a-f]+ [tTwW] (?:${functionNames.join("|")})\b.*$`, "gm");
  const chunk = Buffer.alloc(CHUNK_BYTES);
  const found: string[] = [];
  const fd = openSync(path, "r");
  try {
    let rest = "";
    for (let length = readSync(fd, chunk); length > 0; length = readSync(fd, chunk)) {
      const text = rest + chunk.toString("latin1", 0, length);
      const end = text.lastIndexOf("\n") + 1;
      found.push(...(text.slice(0, end).match(line) ?? []));
      rest = text.slice(end);
    }
    found.push(...(rest.match(line) ?? []));
  } finally {
    closeSync(fd);
  }
  return found.join("\n");
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
