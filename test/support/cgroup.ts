import { execFileSync } from "node:child_process";
import { mkdirSync, rmdirSync } from "node:fs";
import { dirname, join } from "node:path";
import { findCgroup2Mount } from "../../src/kernel/cgroup2.ts";
import { start } from "./commands.ts";
import type { Attempts } from "./connects.ts";
import { FAULTS } from "./netns.ts";

let made = 0;

/** A cgroup of the test's own: a daemon that watches only it sees only what runs in it. */
export class TestCgroup {
  readonly path: string;

  readonly #top: string;

  /** `below`: as a container's runtime or systemd would nest it. */
  constructor(below = "") {
    this.#top = `${findCgroup2Mount()}/tw-test-${process.pid}-${++made}`;
    this.path = join(this.#top, below);
    mkdirSync(this.path, { recursive: true });
  }

  /**
   * Makes `count` connect() attempts of a kind from inside the cgroup, in a network namespace of its
   * own; with `cgroup` in such a cgroup namespace as well, in which the cgroup is the root.
   */
  connects(kind: string, count: number, { cgroup = false } = {}): Attempts {
    const { args, env } = this.#command(kind, count, cgroup);
    const options = { encoding: "utf8", env: { ...process.env, ...env } } as const;
    return JSON.parse(execFileSync("unshare", args, options));
  }

  /** As `connects`, while other things go on. */
  async connectsWhile(kind: string, count: number): Promise<Attempts> {
    const { args, env } = this.#command(kind, count, false);
    const { code, stdout, stderr } = await start("unshare", args, env).done;
    if (code !== 0) throw new Error(`connects.py ended with exit code ${code}: ${stderr}`);
    return JSON.parse(stdout) as Attempts;
  }

  #command(kind: string, count: number, cgroup: boolean) {
    const script = `echo $$ > "$CGROUP/cgroup.procs"
      ip link set lo up
      exec ${cgroup ? "unshare --cgroup" : ""} python3 ${FAULTS}connects.py ${kind} ${count}`;
    return { args: ["--net", "sh", "-c", script], env: { CGROUP: this.path } };
  }

  delete(): void {
    for (let path = this.path; path.startsWith(this.#top); path = dirname(path)) rmdirSync(path);
  }
}
