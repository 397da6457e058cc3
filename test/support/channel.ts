import { mkdtempSync, rmSync } from "node:fs";
import { connect, createServer, type Server, type Socket } from "node:net";
import { tmpdir } from "node:os";
import { join } from "node:path";
import { type Frame, FrameReader } from "../../src/channel/frames.ts";
import type { Question } from "../../src/channel/questions.ts";
import { QuestionSocket } from "../../src/daemon/watch/question-socket.ts";

/** Both ends of a stream: who asks, and what came of it at the other. */
export interface Asked {
  readonly asker: Socket;
  /** What it was answered. */
  readonly frames: Frame[];
  /** In the order in which they were let through. */
  readonly questions: Question[];
  /** Why it is not trusted any more. */
  readonly broken: string[];
  readonly socket: Socket;
  /** All that it wrote has been read, and it has read all answers. */
  readonly ended: Promise<void>;
}

/** Makes pairs of Unix sockets, with a QuestionSocket at one end of each. */
export class QuestionSockets {
  readonly #directory = mkdtempSync(join(tmpdir(), "tuplewatch-questions-"));
  readonly #path = join(this.#directory, "socket");
  readonly #server: Server = createServer();
  readonly #listening: Promise<unknown>;

  constructor() {
    this.#server.unref();
    this.#listening = new Promise((resolve) => this.#server.listen(this.#path, () => resolve(0)));
    process.once("exit", () => rmSync(this.#directory, { recursive: true, force: true }));
  }

  async open(answer: (question: Question) => unknown): Promise<Asked> {
    await this.#listening;
    const accepted = new Promise<Socket>((resolve) => this.#server.once("connection", resolve));
    const asker = connect(this.#path);
    const socket = await accepted;
    const [frames, questions, broken]: [Frame[], Question[], string[]] = [[], [], []];
    const reader = new FrameReader();
    asker.on("data", (piece) => frames.push(...reader.read(piece)));
    new QuestionSocket(socket, {
      answer: (question) => {
        questions.push(question);
        return answer(question);
      },
      onBroken: (reason) => broken.push(reason),
    });
    const ended = new Promise<void>((resolve) => asker.once("close", () => resolve()));
    return { asker, frames, questions, broken, socket, ended };
  }

  close(): void {
    this.#server.close();
  }
}
