import {
  closeSync,
  constants,
  fstatSync,
  linkSync,
  lstatSync,
  mkdtempSync,
  openSync,
  readlinkSync,
  renameSync,
  rmdirSync,
  type Stats,
  unlinkSync,
} from "node:fs";
import { closeFd, connectSocket, openSocket, Posix, unixAddress } from "libbpf-ts";
import { errnoOf, reasonOf } from "../../util/errno.ts";
import { quote } from "../../util/text.ts";

/** The path is taken by something that is not ours to remove. */
export class PathTakenError extends Error {
  override readonly name = "PathTakenError";
  /** Somebody answers there. */
  readonly isLive: boolean;

  constructor(path: string, what: string, isLive = false) {
    super(`${path} is ${what}`);
    this.isLive = isLive;
  }
}

/**
 * A daemon that was killed leaves its socket, on which nobody answers (ECONNREFUSED). It is moved
 * into a directory that nobody else can reach, looked at once more, and removed there: whatever is
 * put in its place meanwhile is not touched, or put back.
 *
 * @param path for messages.
 * @param place the same below an open directory.
 * @throws PathTakenError if there is anything else.
 */
export function removeStaleSocket(path: string, place: string): void {
  const found = lstatSync(place, { throwIfNoEntry: false });
  if (found === undefined) return;
  checkIsOurs(path, place, found);
  checkIsDead(path, place);
  const aside = makePrivateDirectory(path, place);
  const moved = `/proc/self/fd/${aside.fd}/stale`;
  try {
    renameSync(place, moved);
    const now = lstatSync(moved);
    if (isSame(now, found)) unlinkSync(moved);
    else putBack(path, place, moved, now);
  } finally {
    closeSync(aside.fd);
    removeIfEmpty(aside.path);
  }
}

/** It is not where what was moved could neither be removed nor put back. */
function removeIfEmpty(directory: string): void {
  try {
    rmdirSync(directory);
  } catch (error) {
    if (errnoOf(error) !== "ENOTEMPTY") throw error;
  }
}

function checkIsOurs(path: string, place: string, found: Stats): void {
  if (!found.isSocket()) throw new PathTakenError(path, kindOf(place, found));
  if (found.uid !== process.geteuid?.()) {
    throw new PathTakenError(path, `a socket of another user (uid ${found.uid})`);
  }
}

function kindOf(place: string, found: Stats): string {
  if (found.isSymbolicLink()) return `a symbolic link to ${quote(readlinkSync(place))}`;
  if (found.isDirectory()) return "a directory";
  if (found.isFIFO()) return "a named pipe";
  return found.isFile() ? "a regular file" : "a device";
}

function checkIsDead(path: string, place: string): void {
  // A full backlog is an answer too (EAGAIN), for which a blocking socket would wait.
  const probe = openSocket(Posix.AF_UNIX, Posix.SOCK_STREAM | Posix.SOCK_NONBLOCK);
  try {
    connectSocket(probe, unixAddress(place));
  } catch (error) {
    if (errnoOf(error) === "ECONNREFUSED") return;
    if (errnoOf(error) !== "EAGAIN") {
      throw new PathTakenError(path, `a socket that cannot be connected to: ${reasonOf(error)}`);
    }
  } finally {
    closeFd(probe);
  }
  throw new PathTakenError(path, "a socket on which somebody listens", true);
}

interface PrivateDirectory {
  readonly path: string;
  readonly fd: number;
}

function makePrivateDirectory(path: string, place: string): PrivateDirectory {
  const directory = mkdtempSync(`${place}.`);
  const fd = openSync(directory, Posix.O_PATH | constants.O_DIRECTORY | constants.O_NOFOLLOW);
  const { uid, mode } = fstatSync(fd);
  if (uid === process.geteuid?.() && (mode & 0o077) === 0) return { path: directory, fd };
  closeSync(fd);
  throw new PathTakenError(path, "in a directory that somebody changes meanwhile");
}

/** Without replacing what came in its place: link(2) does not, and takes no directories. */
function putBack(path: string, place: string, moved: string, now: Stats): never {
  try {
    if (now.isDirectory()) {
      renameSync(moved, place);
    } else {
      linkSync(moved, place);
      unlinkSync(moved);
    }
  } catch (error) {
    const where = `a directory beside it (${path}.XXXXXX): ${reasonOf(error)}`;
    throw new PathTakenError(
      path,
      `being changed by somebody else, whose file is left in ${where}`,
    );
  }
  throw new PathTakenError(path, "being changed by somebody else");
}

function isSame(one: Stats, other: Stats): boolean {
  return one.isSocket() && one.dev === other.dev && one.ino === other.ino;
}
