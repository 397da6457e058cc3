import { execFileSync } from "node:child_process";
import { mkdirSync, rmdirSync } from "node:fs";
import { dirname, join } from "node:path";
import { findCgroup2Mount } from "../../src/config/cgroup.ts";
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

  /** Makes `count` connect() attempts of a kind from inside the cgroup, in a namespace of its own. */
  connects(kind: string, count: number): Attempts {
    const script = `echo $$ > ${this.path}/cgroup.procs
      ip link set lo up
      exec python3 ${FAULTS}connects.py ${kind} ${count}`;
    return JSON.parse(execFileSync("unshare", ["--net", "sh", "-c", script], { encoding: "utf8" }));
  }

  delete(): void {
    for (let path = this.path; path.startsWith(this.#top); path = dirname(path)) rmdirSync(path);
  }
}
