import type { Readable } from "node:stream";

/** Calls `onLine` for each complete line of a stream. */
export function readLines(stream: Readable, onLine: (line: string) => void): void {
  let rest = "";
  stream.setEncoding("utf8");
  stream.on("data", (chunk: string) => {
    const lines = (rest + chunk).split("\n");
    rest = lines.pop() ?? "";
    for (const line of lines) onLine(line);
  });
}

/**
 * Passes a stream on as it comes, up to `mark`, which is left out and resolves the promise.
 * Bytes are held back only while they may be the beginning of the mark.
 */
export function readUntilMark(
  stream: Readable,
  mark: string,
  onData: (chunk: Buffer) => void,
): Promise<void> {
  let held: Buffer = Buffer.alloc(0);
  return new Promise((resolve) => {
    stream.on("data", (chunk: Buffer) => {
      const data = Buffer.concat([held, chunk]);
      const end = data.indexOf(mark);
      const cut = end >= 0 ? end : data.length - beginningOfMark(data, mark);
      if (cut > 0) onData(data.subarray(0, cut));
      held = data.subarray(cut);
      if (end >= 0) resolve();
    });
    stream.once("end", () => {
      if (held.length > 0 && !held.includes(mark)) onData(held);
      resolve();
    });
  });
}

/** Length of the longest end of `data` with which `mark` begins. */
function beginningOfMark(data: Buffer, mark: string): number {
  for (let length = Math.min(data.length, mark.length - 1); length > 0; length--) {
    if (data.toString("latin1", data.length - length) === mark.slice(0, length)) return length;
  }
  return 0;
}

/** Gives whole lines to `write`, each with `prefix` before it; `flush` gives an unfinished one. */
export function linePrefixer(prefix: string, write: (text: string) => void) {
  const decoder = new TextDecoder();
  let rest = "";
  return {
    push(chunk: Buffer): void {
      const lines = (rest + decoder.decode(chunk, { stream: true })).split("\n");
      rest = lines.pop() ?? "";
      if (lines.length > 0) write(lines.map((line) => `${prefix}${line}\n`).join(""));
    },
    flush(): void {
      if (rest !== "") write(`${prefix}${rest}\n`);
      rest = "";
    },
  };
}
