import { receive, sendNow, waitReadable } from "libbpf-ts";
import type { Answer, WaitingNews } from "../../channel/answers.ts";
import { type Frame, FrameReader } from "../../channel/frames.ts";
import { encodeQuestion, type Question } from "../../channel/questions.ts";
import type { AsksAndWaits } from "./remote-kernel.ts";

/** Some scheduling apart, it answers at once; where it hangs, never. */
const PATIENCE_MS = 250;
/** While it attaches programs, which it says before. */
const BUSY_PATIENCE_MS = 10_000;
/** Who did not answer is not waited for again so soon. */
const PAUSE_MS = 1000;
const RECEIVE_BYTES = 64 * 1024;

/**
 * Questions whose answer the caller waits for, with all that this process does. Only what the
 * privileged process answers at once is asked here.
 */
export class WaitingChannel implements AsksAndWaits {
  readonly #fd: number;
  readonly #buffer = Buffer.alloc(RECEIVE_BYTES);
  readonly #reader = new FrameReader();
  #id = 0;
  #silentUntilMs = Number.NEGATIVE_INFINITY;
  #isBusy = false;

  constructor(fd: number) {
    this.#fd = fd;
  }

  ask(question: Omit<Question, "id">): unknown {
    const { kind } = question;
    if (performance.now() < this.#silentUntilMs) {
      throw new Error(`ask for ${kind}: the last question had no answer in time`);
    }
    this.#id = (this.#id % 0xffff_ffff) + 1;
    const bytes = encodeQuestion({ ...question, id: this.#id });
    if (sendNow(this.#fd, bytes) !== bytes.length) throw this.#giveUp(kind);
    return this.#await(kind, performance.now());
  }

  #await(kind: string, askedAtMs: number): unknown {
    for (;;) {
      const patienceMs = this.#isBusy ? BUSY_PATIENCE_MS : PATIENCE_MS;
      const leftMs = askedAtMs + patienceMs - performance.now();
      if (leftMs <= 0 || !waitReadable(this.#fd, leftMs)) throw this.#giveUp(kind);
      const length = receive(this.#fd, this.#buffer);
      if (length === undefined) continue;
      if (length === 0) throw new Error(`ask for ${kind}: the privileged process has ended`);
      const mine = this.#take(this.#reader.read(Buffer.from(this.#buffer.subarray(0, length))));
      if (mine !== undefined) return resultOf(kind, mine.body as Answer);
    }
  }

  /** Answers that came too late for their own question are passed over. */
  #take(frames: readonly Frame[]): Frame | undefined {
    for (const { id, body } of frames) {
      if (id === 0) this.#isBusy = (body as WaitingNews).isBusy;
    }
    return frames.find(({ id }) => id === this.#id);
  }

  #giveUp(kind: string): Error {
    this.#silentUntilMs = performance.now() + PAUSE_MS;
    return new Error(`ask for ${kind}: no answer in time`);
  }
}

function resultOf(kind: string, answer: Answer): unknown {
  if ("error" in answer) throw new Error(`ask for ${kind}: ${answer.error}`);
  return answer.answer;
}
