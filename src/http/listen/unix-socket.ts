import {
  chmodSync,
  chownSync,
  closeSync,
  constants,
  fchmodSync,
  fstatSync,
  lstatSync,
  openSync,
  readFileSync,
  type Stats,
  unlinkSync,
} from "node:fs";
import { basename, dirname } from "node:path";
import { bindSocket, closeFd, openSocket, Posix, unixAddress } from "libbpf-ts";
import { errnoOf } from "../../util/errno.ts";
import { removeStaleSocket } from "./stale-socket.ts";

/** Whose members may connect, where there is such a group. */
const GROUP = "tuplewatch";

const { O_DIRECTORY, O_NOFOLLOW } = constants;

/** A socket that is bound to a path, and not listening yet. */
export interface BoundPath {
  readonly fd: number;
  /** Removes the file, unless it is another one by now or this user may not; closes nothing else. */
  removeFile(): void;
}

/**
 * Binds without ever replacing a file: only a socket of our own that nobody listens on is taken
 * away. All is looked up in one directory, held open, so that nobody who may write to a parent can
 * lead us into another meanwhile.
 * @throws Error, or PathTakenError
 */
export function bindPath(path: string): BoundPath {
  const directory = openSync(dirname(path), Posix.O_PATH | O_DIRECTORY);
  const place = `/proc/self/fd/${directory}/${basename(path)}`;
  let fd: number | undefined;
  try {
    fd = openSocket(Posix.AF_UNIX, Posix.SOCK_STREAM);
    // The file gets the mode of its socket (unix_bind_bsd): nobody's but ours, until it is shared.
    fchmodSync(fd, 0o600);
    bindNew(fd, path, place);
    const file = shareFile(path, place);
    return { fd, removeFile: () => removeFile(directory, place, file) };
  } catch (error) {
    if (fd !== undefined) closeFd(fd);
    closeSync(directory);
    throw error;
  }
}

function bindNew(fd: number, path: string, place: string): void {
  try {
    bindSocket(fd, unixAddress(path));
  } catch (error) {
    // Whatever is there, a dangling link too (kern_path_create).
    if (errnoOf(error) !== "EADDRINUSE") throw error;
    removeStaleSocket(path, place);
    bindSocket(fd, unixAddress(path));
  }
}

/** Nobody can connect before listen(2): until then the file may still get its group and mode. */
function shareFile(path: string, place: string): Stats {
  const fd = openSync(place, Posix.O_PATH | O_NOFOLLOW);
  try {
    const file = fstatSync(fd);
    const isOurs = file.isSocket() && file.uid === process.geteuid?.() && file.nlink === 1;
    if (!isOurs) throw new Error(`${path} was replaced by something else meanwhile`);
    const gid = groupId();
    if (gid !== undefined) giveToGroup(`/proc/self/fd/${fd}`, gid);
    return file;
  } finally {
    closeSync(fd);
  }
}

function giveToGroup(file: string, gid: number): void {
  try {
    chownSync(file, -1, gid);
  } catch (error) {
    // Another user than root who is no member: then it stays with that user alone.
    if (errnoOf(error) === "EPERM") return;
    throw error;
  }
  chmodSync(file, 0o660);
}

/** By group(5): groups of other sources, such as LDAP, are not for daemons. */
function groupId(): number | undefined {
  const lines = readFileSync("/etc/group", "utf8").split("\n");
  const gid = lines.find((line) => line.startsWith(`${GROUP}:`))?.split(":")[2];
  return gid === undefined ? undefined : Number(gid);
}

/** Best before the socket is closed: while it answers, no other daemon takes the path over. */
function removeFile(directory: number, place: string, { dev, ino }: Stats): void {
  try {
    const now = lstatSync(place);
    if (now.dev === dev && now.ino === ino) unlinkSync(place);
  } catch {
    // Gone already, or not ours to remove since privileges were dropped: the next start does it.
  }
  closeSync(directory);
}
