import { existsSync } from "node:fs";
import { run } from "./exec.ts";

export interface SystemPackage {
  name: string;
  /** What the harness needs it for, completing the sentence "needed …". */
  why: string;
  /** Files of which one is enough: then the package is not asked for. */
  anyOf: readonly string[];
}

/** Where Debian puts virtiofsd: of QEMU itself up to bookworm, a package of its own since. */
export const VIRTIOFSD_PATHS = ["/usr/libexec/virtiofsd", "/usr/lib/qemu/virtiofsd"] as const;

/** Everything that the harness and the guests' commands take from the distribution. */
export const HARNESS_PACKAGES: readonly SystemPackage[] = [
  {
    name: "qemu-system-x86",
    why: "to run the guest kernels",
    anyOf: ["/usr/bin/qemu-system-x86_64"],
  },
  {
    name: "virtiofsd",
    why: "to show this machine's files to a guest",
    anyOf: VIRTIOFSD_PATHS,
  },
  {
    name: "busybox-static",
    why: "for the shell of the initial ramdisk",
    anyOf: ["/usr/share/doc/busybox-static/copyright"],
  },
  {
    name: "kmod",
    why: "for depmod here and modprobe in the guest",
    anyOf: ["/sbin/depmod", "/usr/sbin/depmod"],
  },
  { name: "xz-utils", why: "to unpack kernel modules", anyOf: ["/usr/bin/xz"] },
  { name: "iproute2", why: "by tests in guests (ip)", anyOf: ["/usr/bin/ip", "/sbin/ip"] },
  { name: "nftables", why: "by tests in guests (nft)", anyOf: ["/usr/sbin/nft"] },
  { name: "iptables", why: "by tests in guests (iptables)", anyOf: ["/usr/sbin/iptables"] },
  {
    name: "tcpdump",
    why: "by tests in guests (tcpdump)",
    anyOf: ["/usr/bin/tcpdump", "/usr/sbin/tcpdump"],
  },
  { name: "conntrack", why: "by tests in guests (conntrack)", anyOf: ["/usr/sbin/conntrack"] },
  { name: "iputils-ping", why: "by tests in guests (ping)", anyOf: ["/usr/bin/ping", "/bin/ping"] },
];

function missing(list: readonly SystemPackage[]): SystemPackage[] {
  return list.filter((one) => !one.anyOf.some((file) => existsSync(file)));
}

async function aptGet(operation: string, ...args: string[]): Promise<void> {
  const env = { ...process.env, DEBIAN_FRONTEND: "noninteractive" };
  await run(operation, ["apt-get", "-q", "-o", "DPkg::Lock::Timeout=300", ...args], { env });
}

/** Installs what is missing of `list` with the system's apt, saying what and why through `say`. */
export async function ensurePackages(
  list: readonly SystemPackage[],
  say: (line: string) => void,
): Promise<void> {
  if (missing(list).length === 0) return;
  say("reading the package lists (apt-get update)");
  await aptGet("update package lists", "update");
  // One at a time: QEMU of Debian 12 brings virtiofsd, which is then no longer missing.
  for (const one of list) {
    if (missing([one]).length === 0) continue;
    say(`installing ${one.name}: needed ${one.why}`);
    await aptGet(`install ${one.name}`, "install", "-y", "--no-install-recommends", one.name);
  }
}

/** Path of the first of `candidates` that exists; throws and names them all if none does. */
export function findProgram(candidates: readonly string[]): string {
  const found = candidates.find((file) => existsSync(file));
  if (found === undefined) throw new Error(`find program: none of ${candidates.join(", ")} exists`);
  return found;
}
