import { type Dir, opendirSync } from "node:fs";
import { yieldToEventLoop } from "../util/yielding.ts";

/** The kernel takes some microseconds for each, to make its directory's entry. */
const PROCESSES_PER_TURN = 256;

/** Numbers of all processes, as text. Other work goes on after each 256. */
export async function* processIds(): AsyncGenerator<readonly string[]> {
  const directory = opendirSync("/proc", { bufferSize: PROCESSES_PER_TURN });
  try {
    for (;;) {
      const pids = nextPids(directory);
      if (pids === undefined) return;
      yield pids;
      await yieldToEventLoop();
    }
  } finally {
    directory.closeSync();
  }
}

/** None of some that are no processes; undefined at the end. */
function nextPids(directory: Dir): readonly string[] | undefined {
  const pids: string[] = [];
  for (let count = 0; count < PROCESSES_PER_TURN; count++) {
    const entry = directory.readSync();
    if (entry === null) return count === 0 ? undefined : pids;
    if (/^\d+$/.test(entry.name)) pids.push(entry.name);
  }
  return pids;
}
