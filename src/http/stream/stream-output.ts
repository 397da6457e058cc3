import type { ServerResponse } from "node:http";
import { constants, createGzip, type Gzip } from "node:zlib";

/** Where a stream's bytes go: to the client, or to the client compressed. */
export interface StreamOutput {
  /** Bytes taken that the system does not have yet. */
  readonly queuedBytes: number;
  write(bytes: Buffer | string): void;
  /** Writes of `act` go to the system together, since each of its calls costs as much as 10 KB. */
  together(act: () => void): void;
  end(bytes?: string): void;
  /** Called when something that was queued has left. */
  onDrain(resume: () => void): void;
  close(): void;
}

export function plainOutput(response: ServerResponse): StreamOutput {
  return {
    get queuedBytes() {
      return response.writableLength;
    },
    write: (bytes) => void response.write(bytes),
    together: (act) => {
      response.cork();
      act();
      response.uncork();
    },
    end: (bytes) => void response.end(bytes),
    onDrain: (resume) => void response.on("drain", resume),
    close: () => {},
  };
}

/** 8 KiB of history and small hash tables: some 24 KiB for each client instead of 256. */
const GZIP = { windowBits: 13, memLevel: 5, flush: constants.Z_SYNC_FLUSH } as const;

/**
 * Everything written is flushed, so that an event never waits in the compressor for the next one.
 * What the compressor holds counts as queued, or a client that does not read would fill it.
 */
export function gzipOutput(response: ServerResponse): StreamOutput {
  const gzip: Gzip = createGzip(GZIP);
  let resume = () => {};
  gzip.pipe(response);
  // What has left the compressor makes room too, and no "drain" tells of that.
  for (const source of [gzip, response]) source.on("drain", () => resume());
  gzip.on("data", () => resume());
  return {
    get queuedBytes() {
      return gzip.writableLength + gzip.readableLength + response.writableLength;
    },
    write: (bytes) => void gzip.write(bytes),
    together: (act) => act(),
    end: (bytes) => void gzip.end(bytes),
    onDrain: (call) => {
      resume = call;
    },
    close: () => void gzip.destroy(),
  };
}
