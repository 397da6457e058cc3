import assert from "node:assert/strict";
import { execFileSync, spawnSync } from "node:child_process";
import { existsSync, mkdtempSync, readdirSync, readFileSync, writeFileSync } from "node:fs";
import { release } from "node:os";
import { join } from "node:path";
import { test } from "node:test";
import { fileURLToPath } from "node:url";
import { sinceKernel } from "../vm/requires.ts";

const HOST_ROOT = "/run/tuplewatch-guest/host-root";
const BPF_FS_MAGIC = "cafe4a11";
const EM_BPF = 247;

function sh(script: string): string {
  return execFileSync("/bin/sh", ["-ec", script], { encoding: "utf8" }).trim();
}

function typeOfFileSystem(path: string): string {
  return sh(`stat -f -c %T ${path}`);
}

/** Machine number of an ELF file (e_machine, at byte 18 of the header). */
function elfMachine(file: string): number {
  return readFileSync(file).readUInt16LE(18);
}

test("the kernel is the one asked for", () => {
  const asked = process.env.GUEST_KERNEL;
  assert.ok(asked, "GUEST_KERNEL is not set");
  assert.match(release(), new RegExp(`^${asked.replace(".", "\\.")}[.+-]`));
});

test("the root can be written, and the machine's own root cannot", () => {
  const file = "/etc/tuplewatch-guest-was-here";
  writeFileSync(file, "guest");
  assert.equal(readFileSync(file, "utf8"), "guest");
  assert.ok(existsSync(`${HOST_ROOT}/etc/passwd`));
  assert.ok(!existsSync(`${HOST_ROOT}${file}`), "the guest's file is on the machine's root");
  // Even a guest that lifts its own read-only mount must be refused, by the share itself.
  sh(`mount -o remount,rw ${HOST_ROOT}`);
  try {
    assert.throws(() => writeFileSync(`${HOST_ROOT}${file}`, "guest"), { code: "EROFS" });
  } finally {
    sh(`mount -o remount,ro ${HOST_ROOT}`);
  }
});

test("the kernel's file systems are mounted", () => {
  assert.ok(
    [BPF_FS_MAGIC, "bpf_fs", `UNKNOWN (0x${BPF_FS_MAGIC})`].includes(
      typeOfFileSystem("/sys/fs/bpf"),
    ),
  );
  assert.equal(typeOfFileSystem("/sys/fs/cgroup"), "cgroup2fs");
  assert.equal(typeOfFileSystem("/sys/kernel/tracing"), "tracefs");
  assert.ok(existsSync("/sys/kernel/tracing/kprobe_events"));
});

test("the clock is right to a few seconds", () => {
  // Made by the host when it built this file; the guest cannot be earlier, nor years later.
  const built = Number(sh(`stat -c %Y ${HOST_ROOT}${fileURLToPath(import.meta.url)}`)) * 1000;
  assert.ok(Date.now() >= built, `${new Date().toISOString()} is before the build`);
  assert.ok(Date.now() < built + 365 * 24 * 3600 * 1000);
});

test("the kernel has its BTF, and from 6.1 on that of conntrack", (t) => {
  assert.ok(existsSync("/sys/kernel/btf/vmlinux"));
  sh("modprobe nf_conntrack");
  if (!sinceKernel(t, "6.1", "the 5.10 cloud kernel has no module BTF")) return;
  assert.ok(existsSync("/sys/kernel/btf/nf_conntrack"));
});

test("an nftables NAT rule translates a loopback connection", (t) => {
  sh(`nft -f - <<'END'
table ip tuplewatch_environment {
  chain output {
    type nat hook output priority -100;
    ip daddr 127.0.0.9 tcp dport 7 dnat to 127.0.0.1:7007
  }
}
END`);
  t.after(() => sh("nft delete table ip tuplewatch_environment"));
  const script = `
    const server = require("node:net").createServer((s) => s.end("translated"));
    server.listen(7007, "127.0.0.1", () => {
      const client = require("node:net").connect(7, "127.0.0.9");
      client.on("data", (data) => process.stdout.write(data)).on("end", () => process.exit(0));
      client.on("error", (error) => { console.error(error.message); process.exit(1); });
    });`;
  const node = spawnSync(process.execPath, ["-e", script], { encoding: "utf8", timeout: 30_000 });
  assert.equal(node.stdout, "translated", node.stderr);
  assert.match(readFileSync("/proc/modules", "utf8"), /^nf_nat /m);
});

test("two network namespaces reach each other over veth", (t) => {
  t.after(() => sh("ip netns del tw-a; ip netns del tw-b"));
  sh(`ip netns add tw-a; ip netns add tw-b
    ip link add name eth0 netns tw-a type veth peer name eth0 netns tw-b
    ip -n tw-a addr add 10.9.0.1/24 dev eth0; ip -n tw-a link set eth0 up
    ip -n tw-b addr add 10.9.0.2/24 dev eth0; ip -n tw-b link set eth0 up`);
  assert.match(sh("ip netns exec tw-a ping -c 2 -i 0.2 -W 5 10.9.0.2"), / 0% packet loss/);
});

test("a BPF object built by clang is loaded", (t) => {
  const folder = mkdtempSync("/tmp/environment-");
  const source = join(folder, "probe.bpf.c");
  const object = join(folder, "probe.bpf.o");
  writeFileSync(
    source,
    `__attribute__((section("tracepoint/sock/inet_sock_set_state"), used))
     int probe(void *context) { return context != 0; }
     char _license[] __attribute__((section("license"), used)) = "Dual MIT/GPL";`,
  );
  sh(`clang -target bpf -g -O2 -c ${source} -o ${object}`);
  assert.equal(elfMachine(object), EM_BPF);
  sh(`bpftool prog load ${object} /sys/fs/bpf/environment_probe`);
  t.after(() => sh("rm /sys/fs/bpf/environment_probe"));
  assert.match(sh("bpftool prog show pinned /sys/fs/bpf/environment_probe"), /tracepoint .*probe/);
});

test("the objects of the build are there", (t) => {
  const folder = fileURLToPath(new URL("../../bpf", import.meta.url));
  const objects = readdirSync(folder).filter((name) => name.endsWith(".bpf.o"));
  assert.ok(objects.length > 0, `no object in ${folder}`);
  for (const name of objects) assert.equal(elfMachine(join(folder, name)), EM_BPF, name);
  t.diagnostic(`${objects.length} objects`);
});
