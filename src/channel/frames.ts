import { deserialize, serialize } from "node:v8";

const HEADER_BYTES = 8;

/** More than any answer has; the reader's memory is bounded by it. */
export const MAX_FRAME_BYTES = 16 << 20;

/** From the privileged process: the answer to a question, or news, whose id is 0. */
export interface Frame {
  readonly id: number;
  readonly body: unknown;
}

/**
 * Length and id, each of 32 bits, before a structured clone: only whoever is trusted sends these.
 *
 * @throws Error if it is longer than any may be, or the body is nothing that can be copied.
 */
export function encodeFrame({ id, body }: Frame): Buffer {
  const content = serialize(body);
  const bytes = HEADER_BYTES + content.length;
  if (bytes > MAX_FRAME_BYTES) throw new Error(`write frame: it would have ${bytes} bytes`);
  const header = Buffer.alloc(HEADER_BYTES);
  header.writeUInt32LE(content.length, 0);
  header.writeUInt32LE(id, 4);
  return Buffer.concat([header, content]);
}

/** Puts frames together from the pieces in which a stream hands them over. */
export class FrameReader {
  #pieces: Buffer[] = [];
  #bytes = 0;
  #wanted = HEADER_BYTES;

  /** The frames that are whole now. @throws Error if one is longer than any may be. */
  read(piece: Buffer): Frame[] {
    this.#pieces.push(piece);
    this.#bytes += piece.length;
    const frames: Frame[] = [];
    while (this.#bytes >= this.#wanted) {
      const frame = this.#next();
      if (frame !== undefined) frames.push(frame);
    }
    return frames;
  }

  /** Undefined: so far only its length is known. */
  #next(): Frame | undefined {
    const all = Buffer.concat(this.#pieces);
    this.#pieces = [all];
    const end = HEADER_BYTES + all.readUInt32LE(0);
    if (end > MAX_FRAME_BYTES) throw new Error(`read frame: it would have ${end} bytes`);
    if (all.length < end) {
      this.#wanted = end;
      return undefined;
    }
    const frame = { id: all.readUInt32LE(4), body: deserialize(all.subarray(HEADER_BYTES, end)) };
    this.#pieces = [all.subarray(end)];
    this.#bytes = all.length - end;
    this.#wanted = HEADER_BYTES;
    return frame;
  }
}
