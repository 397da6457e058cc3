import assert from "node:assert/strict";
import { type ChildProcess, spawn } from "node:child_process";
import { once } from "node:events";
import { readFileSync } from "node:fs";
import { describe, test } from "node:test";
import { Cgroups, isUnified, readProcessPath } from "../../src/names/cgroups.ts";
import { TestCgroup } from "../support/cgroup.ts";
import { until } from "../support/until.ts";

/** A child that waits to be told to end, and that nobody waits for: a zombie until its parent ends. */
const PARENT = `import os, sys
child = os.fork()
if child == 0:
    os.read(0, 1)
    os._exit(0)
print(child, flush=True)
os.read(3, 1)`;

const UNIFIED = isUnified(readFileSync("/proc/self/cgroup", "utf8"));

interface Family {
  readonly child: number;
  /** Lets the child end, and returns when it is a zombie. */
  endChild(): Promise<void>;
  end(): Promise<void>;
}

async function family(cgroup?: TestCgroup): Promise<Family> {
  const join = cgroup === undefined ? "" : 'echo $$ > "$CGROUP/cgroup.procs"; ';
  const parent: ChildProcess = spawn("sh", ["-c", `${join}exec python3 -c "$PARENT"`], {
    stdio: ["pipe", "pipe", "inherit", "pipe"],
    env: { ...process.env, PARENT, CGROUP: cgroup?.path },
  });
  const [line] = (await once(parent.stdout as NodeJS.ReadableStream, "data")) as [Buffer];
  const child = Number(line);
  return {
    child,
    async endChild() {
      parent.stdin?.end();
      await until(async () => / Z /.test(readFileSync(`/proc/${child}/stat`, "utf8")), "its end");
    },
    async end() {
      const ended = once(parent, "exit");
      parent.stdin?.end();
      (parent.stdio[3] as NodeJS.WritableStream).end();
      await ended;
    },
  };
}

describe("the cgroup of a process", () => {
  test("that has ended is none, where version 1 shows it in the root", async (t) => {
    if (UNIFIED) return t.skip("there are no version 1 hierarchies");
    const { child, endChild, end } = await family();
    const alive = readProcessPath(child);
    assert.equal(alive, readProcessPath(process.pid));
    assert.equal(new Cgroups(undefined).name(1, child)?.path, alive);
    await endChild();
    assert.equal(readProcessPath(child), undefined, "a zombie");
    assert.equal(new Cgroups(undefined).name(1, child), undefined);
    await end();
    assert.equal(readProcessPath(child), undefined, "nobody");
    assert.equal(new Cgroups(undefined).name(1, child), undefined);
  });

  test("that has ended is the version 2 cgroup it was in, as long as that is there", async () => {
    const cgroup = new TestCgroup();
    const path = new RegExp(`^/.*${cgroup.path.split("/").at(-1)}$`);
    const { child, endChild, end } = await family(cgroup);
    try {
      assert.match(readProcessPath(child) ?? "", path);
      await endChild();
      assert.match(readProcessPath(child) ?? "", path);
    } finally {
      await end();
      cgroup.delete();
    }
    assert.equal(readProcessPath(child), undefined);
  });
});
