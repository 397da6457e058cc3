import { mkdir, readdir, readFile, writeFile } from "node:fs/promises";
import { join } from "node:path";
import { run } from "./exec.ts";

const KEYRING = "/usr/share/keyrings/debian-archive-keyring.gpg";
const DEPENDS_ONLY = ["recommends", "suggests", "conflicts", "breaks", "replaces", "enhances"];

/** Addresses of the Debian archive and of its security archive. */
export interface Mirror {
  main: string;
  security: string;
}

/** Finds the mirror in the system's own apt sources, so that no address is fixed here. */
export async function systemMirror(): Promise<Mirror> {
  const release = await readFile("/etc/os-release", "utf8");
  const codename = /^VERSION_CODENAME=(\S+)$/m.exec(release)?.[1];
  const format = "$(RELEASE) $(CODENAME) $(REPO_URI)";
  const targets = await run("read apt sources", ["apt-get", "indextargets", "--format", format]);
  const uriOf = (suite: string) =>
    targets
      .split("\n")
      .map((line) => line.split(" "))
      .find(([name, code]) => name === suite || code === suite)?.[2];
  const main = codename && uriOf(codename);
  if (!/^ID=debian$/m.test(release) || !main) {
    throw new Error("find Debian mirror: the system's apt sources have no Debian archive");
  }
  const security =
    uriOf(`${codename}-security`) ?? main.replace(/\/debian\/?$/, "/debian-security/");
  return { main, security };
}

/**
 * An apt of its own below `directory`: sources, lists, state and cache, trusting Debian's archive
 * keyring alone. Only the system's network settings (proxy) are shared with the system's apt.
 */
export class PrivateApt {
  readonly #directory: string;
  readonly #options: readonly string[];

  constructor(directory: string) {
    this.#directory = directory;
    const settings = {
      "Dir::State": directory,
      "Dir::State::lists": join(directory, "lists"),
      "Dir::State::status": "/dev/null",
      "Dir::Cache": join(directory, "cache"),
      "Dir::Etc::sourcelist": join(directory, "sources.list"),
      "Dir::Etc::sourceparts": "/dev/null",
      "Dir::Etc::preferences": "/dev/null",
      "Dir::Etc::preferencesparts": "/dev/null",
      "Dir::Etc::trusted": "/dev/null",
      "Dir::Etc::trustedparts": "/dev/null",
      "Acquire::Languages": "none",
      "Acquire::Retries": "3",
      "APT::Architecture": "amd64",
      "APT::Architectures": "amd64",
      // The download folder belongs to root alone, so apt's own user could not write there.
      "APT::Sandbox::User": "root",
    };
    this.#options = Object.entries(settings).flatMap(([name, value]) => ["-o", `${name}=${value}`]);
  }

  /** Reads the lists of `suite`, with its security updates when `withSecurity`. */
  async update(mirror: Mirror, suite: string, withSecurity: boolean): Promise<void> {
    const line = (uri: string, name: string) => `deb [signed-by=${KEYRING}] ${uri} ${name} main\n`;
    const security = withSecurity ? line(mirror.security, `${suite}-security`) : "";
    await mkdir(join(this.#directory, "lists/partial"), { recursive: true });
    await mkdir(join(this.#directory, "cache/archives/partial"), { recursive: true });
    await writeFile(join(this.#directory, "sources.list"), line(mirror.main, suite) + security);
    // Without error-mode=any a suite that cannot be read would pass as a warning.
    await this.#apt(`read lists of ${suite}`, "apt-get", "update", "--error-on=any", "-q");
  }

  /** Names of `root` and of all that it depends on. */
  async closure(root: string): Promise<string[]> {
    const skip = DEPENDS_ONLY.map((kind) => `--no-${kind}`);
    const args = ["depends", "--recurse", ...skip, root];
    const text = await this.#apt(`resolve ${root}`, "apt-cache", ...args);
    return [...new Set(text.split("\n").filter((line) => /^[a-z0-9]/.test(line)))];
  }

  /** Downloads and verifies `packages`; gives the paths of the .deb files. */
  async download(packages: readonly string[]): Promise<string[]> {
    const folder = join(this.#directory, "debs");
    await mkdir(folder, { recursive: true });
    const args = [...this.#options, "-q", "download", ...packages] as const;
    await run(`download ${packages.join(" ")}`, ["apt-get", ...args], { cwd: folder });
    return (await readdir(folder)).map((name) => join(folder, name));
  }

  #apt(operation: string, program: string, ...args: string[]): Promise<string> {
    return run(operation, [program, ...this.#options, ...args]);
  }
}
