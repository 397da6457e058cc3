import { execFileSync } from "node:child_process";
import { mkdirSync, rmdirSync } from "node:fs";
import { findCgroup2Mount } from "../../src/config/cgroup.ts";
import type { Attempts } from "./connects.ts";
import { FAULTS } from "./netns.ts";

let made = 0;

/** A cgroup of the test's own: a daemon that watches only it sees only what runs in it. */
export class TestCgroup {
  readonly path: string;

  constructor() {
    this.path = `${findCgroup2Mount()}/tw-test-${process.pid}-${++made}`;
    mkdirSync(this.path);
  }

  /** Makes `count` connect() attempts of a kind from inside the cgroup, in a namespace of its own. */
  connects(kind: string, count: number): Attempts {
    const script = `echo $$ > ${this.path}/cgroup.procs
      ip link set lo up
      exec python3 ${FAULTS}connects.py ${kind} ${count}`;
    return JSON.parse(execFileSync("unshare", ["--net", "sh", "-c", script], { encoding: "utf8" }));
  }

  delete(): void {
    rmdirSync(this.path);
  }
}
