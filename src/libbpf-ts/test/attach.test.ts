import assert from "node:assert/strict";
import { execFileSync } from "node:child_process";
import { closeSync, existsSync, openSync, readdirSync, readFileSync, writeFileSync } from "node:fs";
import { connect } from "node:net";
import { after, before, test } from "node:test";
import { fileURLToPath } from "node:url";
import type { LoadedObject } from "../src/index.ts";
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

/** Runs traced-renames.ts after a shell command, whose mounts are its own. */
function tracedRenames(command: string, wrapper: readonly string[] = []): unknown {
  const script = fileURLToPath(new URL("traced-renames.js", import.meta.url));
  const args = ["--mount", "sh", "-c", `${command}\nexec "$@"`, "sh", ...wrapper];
  const text = execFileSync("unshare", [...args, process.execPath, script], { encoding: "utf8" });
  return JSON.parse(text);
}

const UNMOUNT =
  "for at in tracing debug; do while umount -l /sys/kernel/$at; do :; done; done 2>/dev/null";
const MOUNT = `${UNMOUNT}; mount -t tracefs tracefs /sys/kernel/tracing`;
const SEEN = { seen: 3, tracefs: 0, events: 1, eventsAfter: 0 };

test("a tracepoint is attached to with tracefs mounted and without, and nothing is left open", () => {
  assert.deepEqual(tracedRenames(MOUNT), { ...SEEN, mounts: 1 });
  assert.deepEqual(tracedRenames(UNMOUNT), { ...SEEN, mounts: 0 });
});

test("a tracepoint without tracefs and the right to open it is an error that says so", () => {
  const wrapper = ["setpriv", "--bounding-set=-sys_admin", "--inh-caps=-sys_admin"];
  assert.deepEqual(tracedRenames(MOUNT, wrapper), { ...SEEN, mounts: 1 });
  assert.deepEqual(tracedRenames(UNMOUNT, wrapper), {
    message:
      "open tracefs: EPERM: it cannot be read at /sys/kernel/tracing, and to open it without a mount needs CAP_SYS_ADMIN and fsopen(2)",
  });
});

test("a tracepoint that the kernel does not have is an error that names it", () => {
  const attach = () => loaded.program("on_tracepoint").attachTracepoint("task", "no_such");
  assert.throws(attach, {
    operation: "open in tracefs",
    object: "events/task/no_such/id",
    code: "ENOENT",
  });
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
