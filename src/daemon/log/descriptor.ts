import { constants, fstatSync, openSync, writeSync } from "node:fs";
import { isWritable, sendNow } from "libbpf-ts";
import { errnoOf } from "../../util/errno.ts";

/**
 * Writes what there is room for, at once.
 *
 * @returns how many bytes that were; 0: none now.
 * @throws an Error with the errno's name as its code.
 */
export type WriteNow = (bytes: Uint8Array) => number;

/** A pipe that poll(2) calls writable takes as many without waiting (pipe(7), PIPE_BUF). */
const PIPE_BUF = 4096;

export interface LogDescriptor {
  /** Whose open file may be another than the one that was asked for: others may write to it, too. */
  readonly fd: number;
  readonly writeNow: WriteNow;
}

/**
 * A way of writing to a descriptor that never waits for its reader. O_NONBLOCK would do, but
 * belongs to the open file, which others share: the shell that started us, programs beside us in a
 * pipe. A pipe or terminal is therefore opened anew; a socket needs nothing, nor does a file, where
 * only the disk can be waited for.
 */
export function openLog(fd: number): LogDescriptor {
  const stats = fstatSync(fd);
  if (stats.isSocket()) return { fd, writeNow: (bytes) => sendNow(fd, bytes) ?? 0 };
  if (stats.isFile()) return { fd, writeNow: (bytes) => writeSync(fd, bytes) };
  const own = openAgain(fd);
  if (own !== undefined) {
    return { fd: own, writeNow: (bytes) => orNothing(() => writeSync(own, bytes)) };
  }
  const writeSome = (bytes: Uint8Array) =>
    isWritable(fd) ? orNothing(() => writeSync(fd, bytes.subarray(0, PIPE_BUF))) : 0;
  return { fd, writeNow: writeSome };
}

/** Undefined where it belongs to another user. */
function openAgain(fd: number): number | undefined {
  const flags = constants.O_WRONLY | constants.O_NONBLOCK | constants.O_NOCTTY;
  try {
    return openSync(`/proc/self/fd/${fd}`, flags);
  } catch {
    return undefined;
  }
}

function orNothing(write: () => number): number {
  try {
    return write();
  } catch (error) {
    if (errnoOf(error) === "EAGAIN") return 0;
    throw error;
  }
}
