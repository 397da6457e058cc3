import { parentPort } from "node:worker_threads";
import { compareSync } from "bcryptjs";
import type { BcryptJob } from "./bcrypt.ts";

parentPort?.on("message", ({ password, hash }: BcryptJob) => {
  parentPort?.postMessage(compareSync(password, hash));
});
