import { Socket } from "node:net";
import type { Answer, News } from "../../channel/answers.ts";
import { FrameReader } from "../../channel/frames.ts";
import { encodeQuestion, type Question, type QuestionKind } from "../../channel/questions.ts";
import type { Asks } from "./remote-kernel.ts";

/** Whoever asked is told so after this long; counting ports takes a while on large hosts. */
const PATIENCE_MS: Partial<Record<QuestionKind, number>> = { report: 60_000, use: 60_000 };
const USUAL_PATIENCE_MS = 5000;

interface Open {
  readonly kind: QuestionKind;
  resolve(answer: unknown): void;
  reject(error: Error): void;
}

export interface ChannelHandler {
  onNews(news: News): void;
  /** The privileged process has ended: nothing is left to be served. */
  onEnd(): void;
}

/** Asks the privileged process, and hears its news. */
export class Channel implements Asks {
  readonly #socket: Socket;
  readonly #open = new Map<number, Open>();
  readonly #reader = new FrameReader();
  readonly #handler: ChannelHandler;
  #id = 0;

  constructor(fd: number, handler: ChannelHandler) {
    this.#handler = handler;
    this.#socket = new Socket({ fd, readable: true, writable: true });
    this.#socket.on("data", (piece) => this.#take(piece));
    this.#socket.on("error", () => {});
    this.#socket.on("close", () => handler.onEnd());
  }

  /** One of each kind at a time: while the other process hangs, questions do not heap up. */
  ask(question: Omit<Question, "id">): Promise<unknown> {
    const { kind } = question;
    const isAsked = [...this.#open.values()].some((open) => open.kind === kind);
    if (isAsked)
      return Promise.reject(new Error(`ask for ${kind}: the last one has no answer yet`));
    return new Promise((resolve, reject) => {
      const patienceMs = PATIENCE_MS[kind] ?? USUAL_PATIENCE_MS;
      const late = () => reject(new Error(`ask for ${kind}: no answer within ${patienceMs} ms`));
      const timer = setTimeout(late, patienceMs);
      const settled = <T>(act: (value: T) => void) => {
        return (value: T) => {
          clearTimeout(timer);
          act(value);
        };
      };
      this.#id = (this.#id % 0xffff_ffff) + 1;
      this.#open.set(this.#id, { kind, resolve: settled(resolve), reject: settled(reject) });
      this.#socket.write(encodeQuestion({ ...question, id: this.#id }));
    });
  }

  #take(piece: Buffer): void {
    for (const { id, body } of this.#reader.read(piece)) {
      if (id === 0) this.#handler.onNews(body as News);
      else this.#settle(id, body as Answer);
    }
  }

  #settle(id: number, answer: Answer): void {
    const open = this.#open.get(id);
    this.#open.delete(id);
    if ("error" in answer) open?.reject(new Error(`ask for ${open.kind}: ${answer.error}`));
    else open?.resolve(answer.answer);
  }
}
