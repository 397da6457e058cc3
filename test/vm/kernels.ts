import { existsSync } from "node:fs";
import { mkdir, mkdtemp, readdir, readFile, rename, rm, writeFile } from "node:fs/promises";
import { homedir } from "node:os";
import { join } from "node:path";
import { PrivateApt, systemMirror } from "./apt.ts";
import { run } from "./exec.ts";

/** One kernel has to do for what is about services and commands, not about hooks. */
export const ONE_SERIES = "6.12";

/** A Debian suite whose cloud kernel can be asked for. */
export interface KernelChoice {
  suite: string;
  /** Major and minor version; absent where the suite moves on to newer kernels. */
  series?: string;
  hasSecurity: boolean;
  inMatrix: boolean;
}

export const KERNEL_CHOICES: readonly KernelChoice[] = [
  { suite: "bullseye", series: "5.10", hasSecurity: true, inMatrix: true },
  { suite: "bookworm", series: "6.1", hasSecurity: true, inMatrix: true },
  { suite: "trixie", series: "6.12", hasSecurity: true, inMatrix: true },
  { suite: "forky", hasSecurity: false, inMatrix: true },
  { suite: "sid", hasSecurity: false, inMatrix: false },
];

const NEWEST = "forky";
const META_PACKAGE = "linux-image-cloud-amd64";
const PARTS = /^linux-(image|binary|modules|base)-\d/;

/** A kernel unpacked in the cache. */
export interface Kernel {
  suite: string;
  /** Major and minor version, as "6.12". */
  series: string;
  /** What `uname -r` says in the guest. */
  release: string;
  /** Folder with `vmlinuz`, `config` and `lib/modules/<release>`. */
  directory: string;
}

export function cacheDirectory(): string {
  const base = process.env.XDG_CACHE_HOME || join(homedir(), ".cache");
  return join(base, "tuplewatch", "kernels");
}

/**
 * The choice for a version ("6.12"), a suite ("trixie") or "newest"; throws for other names.
 * A version of no suite here is looked for in the newest one, which may have it.
 */
export function chooseKernel(name: string): KernelChoice {
  const wanted = name === "newest" ? NEWEST : name;
  const found = KERNEL_CHOICES.find((one) => one.suite === wanted || one.series === wanted);
  if (found) return found;
  const newest = KERNEL_CHOICES.find((one) => one.suite === NEWEST);
  if (newest && /^\d+\.\d+$/.test(name)) return { ...newest, series: name };
  const known = KERNEL_CHOICES.map((one) => one.series ?? one.suite).join(", ");
  throw new Error(`choose kernel: "${name}" is not known; known are ${known}, newest`);
}

export function seriesOf(release: string): string {
  const series = /^\d+\.\d+/.exec(release)?.[0];
  if (!series) throw new Error(`read kernel version: "${release}" does not begin with one`);
  return series;
}

async function cached(choice: KernelChoice): Promise<Kernel | undefined> {
  const suiteFolder = join(cacheDirectory(), choice.suite);
  const current = join(suiteFolder, "current");
  if (!existsSync(current)) return undefined;
  const release = (await readFile(current, "utf8")).trim();
  const directory = join(suiteFolder, release);
  if (!existsSync(join(directory, "vmlinuz"))) return undefined;
  return { suite: choice.suite, series: seriesOf(release), release, directory };
}

/** Brings the two layouts of Debian (up to trixie, since forky) into one; gives the release. */
async function normalise(tree: string): Promise<string> {
  if (!existsSync(join(tree, "lib/modules")))
    await rename(join(tree, "usr/lib"), join(tree, "lib"));
  const release = (await readdir(join(tree, "lib/modules")))[0];
  if (!release) throw new Error(`unpack kernel: no modules in ${tree}`);
  for (const name of ["vmlinuz", "config"]) {
    const places = [`boot/${name}-${release}`, `lib/modules/${release}/${name}`];
    const place = places.map((one) => join(tree, one)).find((one) => existsSync(one));
    if (!place) throw new Error(`unpack kernel: no ${name} of ${release} in ${tree}`);
    await rename(place, join(tree, name));
  }
  await run("index modules", ["depmod", "-b", tree, release]);
  return release;
}

async function download(choice: KernelChoice, work: string): Promise<Kernel> {
  const apt = new PrivateApt(join(work, "apt"));
  await apt.update(await systemMirror(), choice.suite, choice.hasSecurity);
  const parts = (await apt.closure(META_PACKAGE)).filter((name) => PARTS.test(name));
  const tree = join(work, "tree");
  for (const deb of await apt.download(parts)) {
    await run("unpack kernel", ["dpkg-deb", "-x", deb, tree]);
  }
  const release = await normalise(tree);
  const suiteFolder = join(cacheDirectory(), choice.suite);
  const directory = join(suiteFolder, release);
  // The old tree of this very release may serve a guest that is running: it is as good.
  if (!existsSync(directory)) await rename(tree, directory);
  await writeFile(join(work, "current"), `${release}\n`);
  await rename(join(work, "current"), join(suiteFolder, "current"));
  return { suite: choice.suite, series: seriesOf(release), release, directory };
}

/** The kernel from the cache; from the mirror if it is not there yet or `update` asks for it. */
export async function ensureKernel(
  choice: KernelChoice,
  update: boolean,
  say: (line: string) => void,
): Promise<Kernel> {
  const kernel = await newestKernel(choice, update, say);
  if (choice.series && kernel.series !== choice.series) {
    throw new Error(`find kernel ${choice.series}: ${choice.suite} has ${kernel.release}`);
  }
  return kernel;
}

async function newestKernel(
  choice: KernelChoice,
  update: boolean,
  say: (line: string) => void,
): Promise<Kernel> {
  const known = await cached(choice);
  if (known && !update) return known;
  say(`fetching the cloud kernel of Debian ${choice.suite}`);
  const suiteFolder = join(cacheDirectory(), choice.suite);
  await mkdir(suiteFolder, { recursive: true });
  const work = await mkdtemp(join(suiteFolder, "fetch-"));
  try {
    return await download(choice, work);
  } catch (error) {
    if (!known) throw error;
    say(`cannot update, using the cached ${known.release}: ${(error as Error).message}`);
    return known;
  } finally {
    await rm(work, { recursive: true, force: true });
  }
}
