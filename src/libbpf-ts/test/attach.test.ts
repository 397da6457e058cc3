import assert from "node:assert/strict";
import { closeSync, openSync, readdirSync, readFileSync, writeFileSync } from "node:fs";
import { connect } from "node:net";
import { after, before, test } from "node:test";
import { type LoadedObject, probeFentry, probeKprobe, readIterator } from "../src/index.ts";
import { openTestObject, until } from "./support.ts";

let loaded: LoadedObject;
before(() => {
  const opened = openTestObject("attach");
  opened.program("on_fentry").autoload = false;
  opened.setGlobal("config_tgid", process.pid);
  loaded = opened.load();
});
after(() => loaded.close());

/** Writing it renames the task, which is one hit of the tracepoint task_rename. */
function rename(times: number): void {
  const name = readFileSync("/proc/self/comm");
  for (let i = 0; i < times; i++) writeFileSync("/proc/self/comm", name);
}

for (const [program, counter] of [
  ["on_tp_btf", "seen_tp_btf"],
  ["on_raw", "seen_raw"],
  ["on_tracepoint", "seen_tracepoint"],
] as const) {
  test(`${program} attaches by its section and counts exactly`, () => {
    const link = loaded.program(program).attach();
    assert.ok(link.fd > 0);
    rename(23);
    link.close();
    link.close();
    assert.equal(link.closed, true);
    rename(5);
    assert.equal(loaded.getGlobal(counter), 23n);
    assert.throws(() => link.fd, { code: "EBADF" });
  });
}

test("a tracepoint can be given by name", () => {
  const before = loaded.getGlobal("seen_raw") as bigint;
  const link = loaded.program("on_raw").attachRawTracepoint("task_rename");
  rename(2);
  link.close();
  assert.equal(loaded.getGlobal("seen_raw"), before + 2n);
  const count = loaded.getGlobal("seen_tracepoint") as bigint;
  const second = loaded.program("on_tracepoint").attachTracepoint("task", "task_rename");
  rename(3);
  second.close();
  assert.equal(loaded.getGlobal("seen_tracepoint"), count + 3n);
  const nowhere = () => loaded.program("on_tracepoint").attachTracepoint("task", "nope");
  assert.throws(nowhere, { code: "ENOENT", operation: "attach program" });
});

test("a cgroup program sees this process's connects", async () => {
  const root = ["/sys/fs/cgroup/unified", "/sys/fs/cgroup"].find((path) => {
    return (
      readdirSync(path).includes("cgroup.procs") && readdirSync(path).includes("cgroup.controllers")
    );
  });
  assert.ok(root !== undefined, "no cgroup2 mount");
  const fd = openSync(root, "r");
  const link = loaded.program("on_connect4").attachCgroup(fd);
  closeSync(fd);
  const socket = connect({ host: "127.0.0.1", port: 1 });
  let refused = false;
  socket.on("error", () => {
    refused = true;
  });
  await until(() => refused);
  link.close();
  assert.equal(loaded.getGlobal("seen_connect"), 1n);
  assert.throws(() => loaded.program("on_connect4").attachCgroup(-1), { code: "EBADF" });
});

test("an iterator lists this process's threads", () => {
  const link = loaded.program("each_task").attachIterator();
  const bytes = readIterator(link);
  const pids = new Set(new Uint32Array(bytes.buffer));
  const threads = new Set(readdirSync("/proc/self/task").map(Number));
  assert.deepEqual([...pids].sort(), [...threads].sort());
  link.close();
});

test("a kprobe attaches where the kernel has kprobes, else says why not", () => {
  const attach = () => loaded.program("on_kprobe").attachKprobe("__set_task_comm");
  if (!probeKprobe("__set_task_comm").ok) {
    assert.throws(attach, { operation: "attach program", object: /kprobe __set_task_comm/ });
    return;
  }
  const link = attach();
  rename(4);
  link.close();
  assert.equal(loaded.getGlobal("seen_kprobe"), 4n);
});

test("what fentry's probe says is what a load finds", () => {
  const opened = openTestObject("attach");
  if (probeFentry("__set_task_comm").ok) {
    const object = opened.load();
    object.program("on_fentry").attach().close();
    object.close();
  } else assert.throws(() => opened.load(), { operation: "load object", code: "EPERM" });
});

test("an attach target that the kernel lacks is refused before load", () => {
  const opened = openTestObject("attach");
  const set = () => opened.program("on_tp_btf").setAttachTarget("no_such_tracepoint");
  assert.throws(set, /the kernel's BTF has no such function or tracepoint/);
  opened.program("on_tp_btf").setAttachTarget("task_newtask");
  opened.close();
});

test("closing the object closes its links", () => {
  const opened = openTestObject("attach");
  opened.program("on_fentry").autoload = false;
  const object = opened.load();
  const link = object.program("on_tp_btf").attach();
  object.close();
  assert.equal(link.closed, true);
  assert.throws(() => object.program("on_raw").attach(), { code: "EBADF" });
});
