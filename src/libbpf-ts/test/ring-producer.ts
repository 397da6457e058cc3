// A thread that writes records to a ring of the test's, so that they come from another core.
import { parentPort, workerData } from "node:worker_threads";
import { OpenObject } from "../src/index.ts";
import { packet } from "./support.ts";

export interface ProducerTask {
  readonly object: string;
  readonly program: string;
  readonly ringFd: number;
  readonly producer: number;
  /** Records to submit; runs until so many were not lost. */
  readonly records: number;
  /** Runs of the program per call. */
  readonly burst: number;
  /** Pause between calls. */
  readonly pauseMs: number;
  readonly discardEvery: number;
}

export interface ProducerResult {
  readonly submitted: number;
  readonly discarded: number;
  readonly lost: number;
}

const task = workerData as ProducerTask;
const opened = OpenObject.openFile(task.object);
opened.map("ring").reuseFd(task.ringFd);
const counted = opened.globals.includes("submitted");
if (counted) {
  opened.setGlobal("config_producer", task.producer);
  opened.setGlobal("config_discard_every", task.discardEvery);
}
const loaded = opened.load();
const program = loaded.program(task.program);
const pause = new Int32Array(new SharedArrayBuffer(4));
const read = (name: string): number => (counted ? Number(loaded.getGlobal(name)) : 0);

let runs = 0;
while ((counted ? read("submitted") : runs) < task.records) {
  program.testRun({ data: packet(), repeat: task.burst });
  runs += task.burst;
  if (task.pauseMs > 0) Atomics.wait(pause, 0, 0, task.pauseMs);
}
const result: ProducerResult = {
  submitted: read("submitted"),
  discarded: read("discarded"),
  lost: read("lost"),
};
loaded.close();
parentPort?.postMessage(result);
