import { readFile } from "node:fs/promises";
import { basename, join } from "node:path";
import { type CpioEntry, cpioArchive } from "./cpio.ts";
import { run, runBytes } from "./exec.ts";
import type { Kernel } from "./kernels.ts";
import { findProgram } from "./packages.ts";
import { preloadedFiles } from "./preload.ts";
import { PROJECT_DIRECTORY } from "./project.ts";

// Without virtio_rng the first getrandom() spins for seconds to gather jitter (random.c,
// try_to_generate_entropy), since the emulated CPU has no RDRAND.
const BOOT_MODULES = ["virtio_pci", "virtiofs", "overlay", "virtio_console", "virtio_rng"];
const BUSYBOX_PATHS = ["/usr/bin/busybox", "/bin/busybox"];

/** The module files to load one after the other until all of BOOT_MODULES are there. */
async function bootModules(kernel: Kernel): Promise<string[]> {
  const where = ["-d", kernel.directory, "-S", kernel.release];
  const command = ["modprobe", ...where, "--show-depends", "-a", ...BOOT_MODULES] as const;
  const text = await run("list boot modules", ["/usr/sbin/modprobe", ...command.slice(1)]);
  const files = [...text.matchAll(/^insmod (\S+)/gm)].map((match) => match[1] ?? "");
  return [...new Set(files)];
}

async function moduleContent(file: string): Promise<Buffer> {
  return file.endsWith(".xz") ? runBytes("unpack module", ["xz", "-dc", file]) : readFile(file);
}

function script(name: string): Promise<Buffer> {
  return readFile(join(PROJECT_DIRECTORY, "test/vm", name));
}

/** Quotes for a POSIX shell. */
export function shellQuote(text: string): string {
  return `'${text.replaceAll("'", `'\\''`)}'`;
}

/** The initial ramdisk: a shell, the modules to reach the shared root, and what to run there. */
export async function buildInitramfs(
  kernel: Kernel,
  settings: Readonly<Record<string, string>>,
  command: string,
): Promise<Buffer> {
  const modules = await bootModules(kernel);
  const entries: CpioEntry[] = [
    "bin",
    "dev",
    "lower",
    "modules",
    "overlay",
    "proc",
    "root",
    "sys",
  ].map((path) => ({ path }));
  for (const [index, file] of modules.entries()) {
    const name = `${String(index).padStart(2, "0")}-${basename(file).replace(/\.xz$/, "")}`;
    entries.push({ path: `modules/${name}`, content: await moduleContent(file) });
  }
  const lines = Object.entries(settings).map(([name, value]) => `${name}=${shellQuote(value)}\n`);
  entries.push(
    { path: "bin/busybox", content: await readFile(findProgram(BUSYBOX_PATHS)) },
    { path: "init", content: await script("initramfs-init.sh") },
    { path: "guest-init.sh", content: await script("guest-init.sh") },
    { path: "settings.sh", content: Buffer.from(lines.join("")) },
    { path: "command.sh", content: Buffer.from(command) },
  );
  entries.push(...(await preloadedFiles("tree")));
  return cpioArchive(entries);
}
