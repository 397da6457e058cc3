import { readFileSync } from "node:fs";

/** Where cgroup2 is mounted, or undefined where it is not (pure v1). */
export function findCgroup2Mount(): string | undefined {
  return parseCgroup2Mount(readFileSync("/proc/self/mountinfo", "utf8"));
}

/**
 * The first cgroup2 mount whose root is the hierarchy's root. Fields as in proc(5): root is the
 * fourth, the mount point the fifth, the file system type follows a lone "-".
 */
export function parseCgroup2Mount(mountinfo: string): string | undefined {
  for (const line of mountinfo.split("\n")) {
    const [mount = "", fileSystem = ""] = line.split(" - ");
    const [, , , root, mountPoint] = mount.split(" ");
    if (root === "/" && mountPoint !== undefined && fileSystem.startsWith("cgroup2 ")) {
      return unescapeOctal(mountPoint);
    }
  }
  return undefined;
}

/** The kernel writes space, tab, newline and backslash as \ooo (fs/seq_file.c, mangle_path). */
function unescapeOctal(text: string): string {
  return text.replace(/\\([0-7]{3})/g, (_, digits: string) =>
    String.fromCharCode(Number.parseInt(digits, 8)),
  );
}
