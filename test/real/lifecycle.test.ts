import assert from "node:assert/strict";
import { execFileSync } from "node:child_process";
import { readdirSync, readFileSync } from "node:fs";
import { describe, test } from "node:test";
import { start, startDaemonProcess, tuplewatch } from "../support/commands.ts";
import { until } from "../support/server.ts";

type Kind = "prog" | "link" | "map";

/** Ids of what a process holds in the kernel, from the descriptors it has open. */
function held(kind: Kind, pid: number): number[] {
  const ids = readdirSync(`/proc/${pid}/fdinfo`).map((fd) => {
    const info = readFileSync(`/proc/${pid}/fdinfo/${fd}`, "utf8");
    return Number(new RegExp(String.raw`^${kind}_id:\s+(\d+)$`, "m").exec(info)?.[1]);
  });
  return ids.filter((id) => !Number.isNaN(id));
}

/** Ids of all there is in the kernel, as bpftool sees it. */
function show(kind: Kind): number[] {
  const text = execFileSync("bpftool", ["--json", kind, "show"], { encoding: "utf8" });
  return (JSON.parse(text) as { id: number }[]).map(({ id }) => id);
}

/** The kernel frees them after a grace period. */
function allFreed(kind: Kind, ids: readonly number[]): Promise<void> {
  const left = () => show(kind).filter((id) => ids.includes(id));
  return until(
    () => left().length === 0,
    () => `${kind} ${left()} freed`,
  );
}

const KINDS = ["prog", "link", "map"] as const;

describe("the daemon's life", () => {
  test("SIGTERM leaves no program, link or map behind, and exit status 0", async () => {
    const daemon = await startDaemonProcess();
    const pid = daemon.child.pid as number;
    const before = new Map(KINDS.map((kind) => [kind, held(kind, pid)]));
    for (const [kind, ids] of before) {
      assert.ok(ids.length >= 3, kind);
      assert.ok(
        ids.every((id) => show(kind).includes(id)),
        kind,
      );
    }
    daemon.child.kill("SIGTERM");
    assert.equal((await daemon.done).code, 0);
    for (const kind of KINDS) await allFreed(kind, before.get(kind) ?? []);
  });

  test("a daemon that was killed leaves nothing attached either", async () => {
    const daemon = await startDaemonProcess();
    const links = held("link", daemon.child.pid as number);
    assert.ok(links.length > 0);
    daemon.child.kill("SIGKILL");
    await daemon.done;
    await allFreed("link", links);
  });

  test("without the right to load programs it says what it needs", async () => {
    const daemon = start("setpriv", [
      "--reuid=65534",
      "--clear-groups",
      process.execPath,
      "build/src/cli/main.js",
      "run",
      "--listen=127.0.0.1:0",
    ]);
    const { code, stderr } = await daemon.done;
    assert.equal(code, 1);
    assert.match(stderr, /root, or CAP_BPF.*is needed to load BPF programs/);
  });

  test("without libbpf it names the package", async () => {
    const run = tuplewatch(["run", "--listen=127.0.0.1:0"], { LIBBPF_SO: "libnone.so.1" });
    const { code, stderr } = await run.done;
    assert.equal(code, 1);
    assert.match(stderr, /load library libnone\.so\.1.*apt install libbpf1/);
    const check = await tuplewatch(["check"], { LIBBPF_SO: "libnone.so.1" }).done;
    assert.equal(check.code, 1);
    assert.match(check.stdout, /libbpf +not found/);
  });

  test("without kernel BTF it goes on with the kernel's own counters, and says why", async () => {
    const script = "mount -t tmpfs none /sys/kernel/btf && exec node build/src/cli/main.js check";
    const { code, stdout } = await start("unshare", ["--mount", "sh", "-c", script]).done;
    assert.equal(code, 1);
    assert.match(stdout, /kernel BTF +absent/);
    assert.match(stdout, /connect will use nothing/);
    assert.match(stdout, /tcp_state +no .*(BTF|btf|vmlinux)/);
  });

  test("a cgroup that is not there is named", async () => {
    const run = tuplewatch(["run", "--listen=127.0.0.1:0", "--cgroup=/nonexistent"]);
    const { code, stderr } = await run.done;
    assert.equal(code, 1);
    assert.match(stderr, /open cgroup \/nonexistent: .*ENOENT/);
  });

  test("check tells of each backend whether this kernel permits it", async () => {
    const { code, stdout } = await tuplewatch(["check", "--json"]).done;
    const report = JSON.parse(stdout);
    const lacking = report.probes.filter((p: { chosen?: string }) => p.chosen === undefined);
    assert.ok(lacking.every((p: { probe: string }) => p.probe === "stale_flow"));
    assert.equal(code, lacking.length === 0 ? 0 : 1);
    for (const { probe, backends, chosen } of report.probes) {
      const available = backends.filter((b: { available: boolean }) => b.available);
      assert.equal(chosen, available[0]?.backend, probe);
      for (const { available: works, reason } of backends)
        assert.equal(works, reason === undefined);
    }
  });
});
