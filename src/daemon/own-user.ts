import { readdirSync, readFileSync } from "node:fs";
import { BpfError, hasUser } from "libbpf-ts";

/** Whom a process becomes. */
export interface User {
  readonly uid: number;
  readonly gid: number;
}

/** The user of the package, whom nothing else has. */
const USER = "tuplewatch";

/**
 * Numbers that no distribution, container or dynamic user is given: "unused" in systemd's
 * docs/UIDS-GIDS.md.
 */
const UNUSED = { first: 60706, last: 61183 };

/** What many have: who may be any of them could signal or trace us. */
const NOBODY = 65534;

/**
 * A process may be signalled by every other of its user: SIGUSR1, with which Node opens its debugger
 * to all the machine, among them (kill(2)). So it is a user whom nobody else has.
 *
 * @param name of passwd(5), or "auto": tuplewatch if there is such a user, else a number of its own.
 * @throws BpfError
 */
export function ownUser(name: string): User {
  const found = findUser(name === "auto" ? USER : name);
  if (found?.uid === NOBODY) throw refusal(name, "EINVAL", "others have that user, too");
  if (found !== undefined) return found;
  if (name !== "auto") throw refusal(name, "ENOENT", "no such user in /etc/passwd");
  return unusedUser();
}

/** By passwd(5): users of other sources, such as LDAP, are no daemons. */
function findUser(name: string): User | undefined {
  const lines = readFileSync("/etc/passwd", "utf8").split("\n");
  const [, , uid, gid] = lines.find((line) => line.startsWith(`${name}:`))?.split(":") ?? [];
  return uid === undefined ? undefined : { uid: Number(uid), gid: Number(gid) };
}

/** Another daemon may look for one at the same moment: each begins somewhere else. */
export function unusedUser(): User {
  const count = UNUSED.last - UNUSED.first + 1;
  const start = Math.floor(Math.random() * count);
  const taken = usersOfProcesses();
  for (let step = 0; step < count; step++) {
    const uid = UNUSED.first + ((start + step) % count);
    if (!taken.has(uid) && !hasUser(uid)) return { uid, gid: uid };
  }
  throw refusal("auto", "EAGAIN", `all of ${UNUSED.first} to ${UNUSED.last} are in use`);
}

/** Real, effective, saved and file system user of each (proc_pid_status(5)). */
function usersOfProcesses(): Set<number> {
  const users = new Set<number>();
  for (const name of readdirSync("/proc")) {
    if (!/^\d+$/.test(name)) continue;
    for (const uid of usersOf(name)) users.add(uid);
  }
  return users;
}

function usersOf(pid: string): number[] {
  try {
    const [, uids = ""] = /^Uid:\s+(.*)$/m.exec(readFileSync(`/proc/${pid}/status`, "utf8")) ?? [];
    return uids.split(/\s+/).map(Number);
  } catch {
    return []; // it has ended
  }
}

function refusal(object: string, code: string, detail: string): BpfError {
  return new BpfError({ operation: "change user", object, code, detail });
}
