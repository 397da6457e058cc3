import { QUESTION_BYTES } from "./questions.ts";

/** Cuts a stream into records of a question's size, whatever the pieces in which it comes. */
export class RecordReader {
  #rest: Buffer = Buffer.alloc(0);

  read(piece: Buffer): Buffer[] {
    const bytes = this.#rest.length === 0 ? piece : Buffer.concat([this.#rest, piece]);
    const whole = bytes.length - (bytes.length % QUESTION_BYTES);
    // A copy: what is left must not keep a large piece alive.
    this.#rest = Buffer.from(bytes.subarray(whole));
    return Array.from({ length: whole / QUESTION_BYTES }, (_, index) =>
      bytes.subarray(index * QUESTION_BYTES, (index + 1) * QUESTION_BYTES),
    );
  }
}
