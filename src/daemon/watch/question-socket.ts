import type { Socket } from "node:net";
import type { Answer } from "../../channel/answers.ts";
import { encodeFrame } from "../../channel/frames.ts";
import { decodeQuestion, type Question } from "../../channel/questions.ts";
import { RecordReader } from "../../channel/records.ts";
import { reasonOf } from "../../util/errno.ts";
import { TokenBucket } from "../../util/token-bucket.ts";
import { MS_PER_SECOND } from "../../util/units.ts";

/** More than a process asks that is sound, and as much as this one may be kept busy with. */
const MAX_PER_SECOND = 10_000;
const MAX_UNANSWERED = 64;
/** Of answers that are not taken. */
const MAX_WAITING_BYTES = 64 << 20;

export interface QuestionHandler {
  answer(question: Question): unknown;
  /** The asker has broken the rules, and is not to be trusted any more. */
  onBroken(reason: string): void;
}

/** Reads questions from a socket whose other end may be hostile, and writes the answers. */
export class QuestionSocket {
  readonly #socket: Socket;
  readonly #handler: QuestionHandler;
  readonly #reader = new RecordReader();
  readonly #bucket = new TokenBucket({
    intervalMs: MS_PER_SECOND / MAX_PER_SECOND,
    burst: MAX_PER_SECOND,
  });
  #unanswered = 0;
  #isBroken = false;

  constructor(socket: Socket, handler: QuestionHandler) {
    this.#socket = socket;
    this.#handler = handler;
    socket.on("data", (piece) => this.#take(piece));
    // The process has ended, of which its exit tells.
    socket.on("error", () => {});
  }

  /** What is told without a question. */
  tell(body: unknown): void {
    this.#write(encodeFrame({ id: 0, body }));
  }

  #take(piece: Buffer): void {
    for (const record of this.#reader.read(piece)) {
      if (this.#isBroken) return;
      this.#ask(record);
    }
  }

  #ask(record: Buffer): void {
    try {
      const question = decodeQuestion(record);
      if (!this.#bucket.take()) throw new Error(`more than ${MAX_PER_SECOND} questions a second`);
      if (++this.#unanswered > MAX_UNANSWERED) throw new Error("too many open questions");
      this.#answer(question);
    } catch (error) {
      this.#break(`it asks what nobody may: ${reasonOf(error)}`);
    }
  }

  /** At once if the answer is there: the asker may be waiting for it. */
  #answer(question: Question): void {
    const { id } = question;
    const refuse = (error: unknown) => this.#reply(id, { error: reasonOf(error) });
    try {
      const answer = this.#handler.answer(question);
      if (answer instanceof Promise) {
        answer.then((found: unknown) => this.#reply(id, { answer: found }), refuse);
      } else {
        this.#reply(id, { answer });
      }
    } catch (error) {
      refuse(error);
    }
  }

  #reply(id: number, answer: Answer): void {
    this.#unanswered--;
    this.#write(answerFrame(id, answer));
  }

  #write(frame: Buffer): void {
    if (this.#isBroken || this.#socket.destroyed) return;
    this.#socket.write(frame);
    if (this.#socket.writableLength > MAX_WAITING_BYTES) this.#break("it takes no answers");
  }

  #break(reason: string): void {
    if (this.#isBroken) return;
    this.#isBroken = true;
    this.#handler.onBroken(reason);
  }
}

/** One that does not fit into a frame is an error of that question alone. */
function answerFrame(id: number, answer: Answer): Buffer {
  try {
    return encodeFrame({ id, body: answer });
  } catch (error) {
    return encodeFrame({ id, body: { error: reasonOf(error) } satisfies Answer });
  }
}
