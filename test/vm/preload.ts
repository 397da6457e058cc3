import type { Dirent } from "node:fs";
import { readdir, readFile } from "node:fs/promises";
import { join } from "node:path";
import type { CpioEntry } from "./cpio.ts";
import { PROJECT_DIRECTORY } from "./project.ts";

/** What Node reads when it starts the daemon and the tests. */
const FOLDERS = ["build", "node_modules", "src/libbpf-ts/build"];
const WANTED = /\.([cm]?js|json|node|bpf\.o)$/;
/** Large, and of no use in a guest. */
const LEFT_OUT = new Set([
  "build/tools",
  "node_modules/@biomejs",
  "node_modules/@grafana",
  "node_modules/@types",
  "node_modules/@typescript",
  "node_modules/axe-core",
  "node_modules/typescript",
]);

/**
 * Files of the working tree for the initial ramdisk, below `folder`: a guest lays them over the
 * shared root. Each file opened there is a question to this machine, of which a daemon asks a
 * thousand while it starts.
 */
export async function preloadedFiles(folder: string): Promise<CpioEntry[]> {
  const entries: CpioEntry[] = [{ path: folder }];
  for (const path of ["src", "src/libbpf-ts"]) entries.push({ path: join(folder, path) });
  for (const path of FOLDERS) await addFolder(entries, folder, path);
  return entries;
}

async function addFolder(entries: CpioEntry[], folder: string, path: string): Promise<void> {
  if (LEFT_OUT.has(path)) return;
  entries.push({ path: join(folder, path) });
  const found = await readdir(join(PROJECT_DIRECTORY, path), { withFileTypes: true });
  for (const entry of found) await addEntry(entries, folder, join(path, entry.name), entry);
}

/** Links are left out: node_modules/libbpf-ts, and programs that npm runs. */
async function addEntry(
  entries: CpioEntry[],
  folder: string,
  path: string,
  entry: Dirent,
): Promise<void> {
  if (entry.isDirectory()) await addFolder(entries, folder, path);
  if (!entry.isFile() || !WANTED.test(entry.name)) return;
  const content = await readFile(join(PROJECT_DIRECTORY, path));
  entries.push({ path: join(folder, path), content });
}
