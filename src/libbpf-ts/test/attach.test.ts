import assert from "node:assert/strict";
import { closeSync, existsSync, openSync, readdirSync, readFileSync, writeFileSync } from "node:fs";
import { connect } from "node:net";
import { after, before, test } from "node:test";
import { closeFd, type LoadedObject, openTracepoint, setEventProgram } from "../src/index.ts";
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

test("a tracepoint's number in tracefs will do", () => {
  const id = Number(readFileSync("/sys/kernel/tracing/events/task/task_rename/id", "utf8"));
  const before = loaded.getGlobal("seen_tracepoint") as bigint;
  const event = openTracepoint(id);
  setEventProgram(event, loaded.program("on_tracepoint").fd, "task_rename");
  rename(3);
  closeFd(event);
  rename(2);
  assert.equal(loaded.getGlobal("seen_tracepoint"), before + 3n);
  assert.throws(() => openTracepoint(1 << 30), { operation: "open perf event" });
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

test("a kprobe attaches where the kernel has kprobes, else says why not", () => {
  const attach = () => loaded.program("on_kprobe").attachKprobe("__set_task_comm");
  if (!existsSync("/sys/bus/event_source/devices/kprobe/type")) {
    assert.throws(attach, { operation: "attach program", object: /kprobe __set_task_comm/ });
    return;
  }
  const link = attach();
  rename(4);
  link.close();
  assert.equal(loaded.getGlobal("seen_kprobe"), 4n);
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
