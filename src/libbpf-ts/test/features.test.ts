import assert from "node:assert/strict";
import { execFileSync } from "node:child_process";
import { closeSync, existsSync, openSync, readdirSync } from "node:fs";
import { test } from "node:test";
import {
  AttachType,
  kernelBtfAvailable,
  MapType,
  OpenObject,
  type Probe,
  ProgramType,
  probeCgroup,
  probeFentry,
  probeFexit,
  probeHelper,
  probeIterator,
  probeKprobe,
  probeMapType,
  probeProgramType,
  probeTpBtf,
  probeTracepoint,
} from "../src/index.ts";
import { openModuleBtf } from "../src/info.ts";
import { closeFd } from "../src/posix.ts";
import { objectPath } from "./support.ts";

const BPF_FUNC_RINGBUF_RESERVE = 131;

function refused(probe: Probe, reason: RegExp): void {
  assert.equal(probe.ok, false);
  if (!probe.ok) assert.match(probe.reason, reason);
}

test("types and helpers agree with bpftool", () => {
  const report = JSON.parse(
    execFileSync("bpftool", ["-j", "feature", "probe", "kernel"]).toString(),
  ) as { map_types: Record<string, boolean>; program_types: Record<string, boolean> };
  for (const name of ["HASH", "RINGBUF", "LPM_TRIE", "SK_STORAGE", "QUEUE"] as const) {
    const reported = report.map_types[`have_${name.toLowerCase()}_map_type`];
    assert.equal(probeMapType(MapType[name]).ok, reported, name);
  }
  for (const name of ["CGROUP_SOCK_ADDR", "SOCK_OPS", "KPROBE", "TRACING"] as const) {
    const reported = report.program_types[`have_${name.toLowerCase()}_prog_type`];
    assert.equal(probeProgramType(ProgramType[name]).ok, reported, name);
  }
  assert.ok(probeHelper(ProgramType.SOCKET_FILTER, BPF_FUNC_RINGBUF_RESERVE).ok);
  refused(probeHelper(ProgramType.SOCKET_FILTER, 9999), /helper 9999.*not supported/);
  refused(probeMapType(999), /map type 999/);
});

test("tracepoints, iterators and cgroup hooks that this kernel has", () => {
  assert.deepEqual(kernelBtfAvailable(), { ok: true });
  assert.deepEqual(probeTpBtf("inet_sock_set_state"), { ok: true });
  assert.deepEqual(probeTracepoint("sock", "inet_sock_set_state"), { ok: true });
  assert.deepEqual(probeIterator("tcp"), { ok: true });
  assert.deepEqual(probeCgroup(AttachType.CGROUP_INET4_CONNECT), { ok: true });
});

test("a cgroup hook is tried on a cgroup where one is given", () => {
  const paths = ["/sys/fs/cgroup/unified", "/sys/fs/cgroup"];
  const root = paths.find((path) => existsSync(`${path}/cgroup.controllers`));
  assert.ok(root !== undefined, "no cgroup2 mount");
  const fd = openSync(root, "r");
  for (const [name, type] of Object.entries(AttachType)) {
    if (name.startsWith("CGROUP_")) assert.deepEqual(probeCgroup(type, fd), { ok: true }, name);
  }
  closeSync(fd);
  refused(probeCgroup(AttachType.CGROUP_INET4_CONNECT, 9999), /attach .*CONNECT: EBADF/);
});

test("what does not exist is refused with the reason", () => {
  refused(probeTpBtf("no_such"), /tracepoint no_such in .*vmlinux: ENOENT/);
  refused(probeTracepoint("no", "such"), /no such tracepoint, or tracefs is not mounted/);
  refused(probeIterator("no_such"), /ENOENT/);
  refused(probeFentry("no_such"), /function no_such in .*vmlinux: ENOENT/);
  refused(probeFexit("x", { module: "no_such" }), /no_such: ENOENT/);
  refused(probeKprobe("no_such_function_at_all"), /kprobe no_such_function_at_all: E/);
});

test("whether functions can be hooked is what a real object finds", () => {
  const opened = OpenObject.openFile(objectPath("attach"));
  let works = true;
  try {
    const loaded = opened.load();
    loaded.program("on_fentry").attach();
    loaded.close();
  } catch {
    works = false;
  }
  for (const probe of [probeFentry("__set_task_comm"), probeFexit("__set_task_comm")]) {
    assert.equal(probe.ok, works);
    if (!probe.ok) assert.match(probe.reason, /(load|attach) program (for|to) f.*: E[A-Z]+/);
  }
});

test("BTF objects of the kernel are found by name", () => {
  closeFd(openModuleBtf("vmlinux"));
  assert.throws(() => openModuleBtf("no_such_module"), { code: "ENOENT" });
});

test("probes leave no descriptor behind", () => {
  const count = () => readdirSync("/proc/self/fd").length;
  const before = count();
  for (let i = 0; i < 5; i++) {
    probeTpBtf("inet_sock_set_state");
    probeTracepoint("sock", "inet_sock_set_state");
    probeFentry("__set_task_comm");
    probeKprobe("__set_task_comm");
    probeCgroup(AttachType.CGROUP_INET4_CONNECT);
  }
  assert.equal(count(), before);
});
