import { readdirSync, statSync } from "node:fs";
import { join } from "node:path";

const DIRECTORY = "/run/netns";
/** Names are believed for this long; an unknown number is looked for sooner. */
const REFRESH_MS = 1000;
const RETRY_MS = 50;
const MAX_NAMES = 4096;

/** Names of network namespaces as ip-netns(8) keeps them, by inode number. */
export class NetnsNames {
  readonly #directory: string;
  #names = new Map<number, string>();
  #readAtMs = Number.NEGATIVE_INFINITY;

  constructor(directory = DIRECTORY) {
    this.#directory = directory;
  }

  /**
   * A hint for readers, never an identity: an inode number is used again once its namespace is
   * gone.
   */
  name(inum: number): string | undefined {
    const nowMs = performance.now();
    if (nowMs - this.#readAtMs >= (this.#names.has(inum) ? REFRESH_MS : RETRY_MS)) {
      this.#readAtMs = nowMs;
      this.#names = readNames(this.#directory);
    }
    return this.#names.get(inum);
  }
}

function readNames(directory: string): Map<number, string> {
  const names = new Map<number, string>();
  try {
    for (const name of readdirSync(directory).slice(0, MAX_NAMES)) {
      names.set(statSync(join(directory, name)).ino, name);
    }
  } catch {
    // nobody has made a named namespace, or one went away meanwhile
  }
  return names;
}
