import { Worker } from "node:worker_threads";

export interface BcryptJob {
  readonly password: string;
  readonly hash: string;
}

/**
 * bcrypt in a thread of its own, since one hash of cost 10 takes some 60 ms in which nothing else
 * would be answered. The thread starts with the first job. One job at a time: the caller queues.
 */
export class Bcrypt {
  #worker: Worker | undefined;

  compare(job: BcryptJob): Promise<boolean> {
    const worker = this.#worker ?? this.#start();
    return new Promise((resolve, reject) => {
      const settle = (act: () => void) => {
        worker.off("message", onMessage).off("error", onError);
        act();
      };
      const onMessage = (matches: boolean) => settle(() => resolve(matches));
      const onError = (error: Error) => {
        this.#worker = undefined;
        settle(() => reject(error));
      };
      worker.on("message", onMessage).on("error", onError);
      worker.postMessage(job);
    });
  }

  async close(): Promise<void> {
    await this.#worker?.terminate();
    this.#worker = undefined;
  }

  #start(): Worker {
    const limits = { maxOldGenerationSizeMb: 32, maxYoungGenerationSizeMb: 4 };
    const file = new URL("./bcrypt-worker.js", import.meta.url);
    this.#worker = new Worker(file, { resourceLimits: limits });
    this.#worker.unref();
    return this.#worker;
  }
}
