import { isPrintable, type Words } from "../util/shell.ts";
import { quote } from "../util/text.ts";

/** A network namespace, and the ways into it that were found when it was last looked for. */
export interface NetnsPlace {
  readonly cookie?: string | undefined;
  readonly inum?: number | undefined;
  /** That of whoever types commands on this machine. */
  readonly isHome?: boolean;
  /** Of ip-netns(8). */
  readonly ipNetnsName?: string | undefined;
  /** A process that is in it. */
  readonly pid?: number | undefined;
}

/** How a command gets there: words before its own, or why it cannot. */
export type Entry = { readonly words: Words | readonly [] } | { readonly obstacle: string };

export function entryOf(place: NetnsPlace): Entry {
  const { isHome, ipNetnsName: name, inum, pid } = place;
  if (isHome === true) return { words: [] };
  if (name !== undefined && isPrintable(name)) return { words: ["ip", "netns", "exec", name] };
  if (pid !== undefined && inum !== undefined) return { words: byProcess(pid, inum) };
  if (name === undefined) {
    return { obstacle: `no name and no process is known that leads to ${netnsText(place)}` };
  }
  return { obstacle: `${netnsText(place)} is called ${quote(name)}, which reads as another name` };
}

/** A process id is used again, so the namespace's number is compared once inside. */
function byProcess(pid: number, inum: number): Words {
  const script =
    `[ $(stat -Lc%i /proc/self/ns/net) = ${inum} ] && exec "$@"; ` +
    `echo "process ${pid} is in another network namespace" >&2; exit 1`;
  return ["nsenter", `--net=/proc/${pid}/ns/net`, "sh", "-c", script, "sh"];
}

/** In words, for whoever must find it without a command. */
function netnsText({ cookie, inum }: NetnsPlace): string {
  const identity = [
    ...(cookie === undefined ? [] : [`cookie ${cookie}`]),
    ...(inum === undefined ? [] : [`inode ${inum}`]),
  ];
  return identity.length === 0
    ? "its network namespace"
    : `the network namespace with ${identity.join(", ")}`;
}
