import assert from "node:assert/strict";
import { describe, test } from "node:test";
import { getStatus } from "../support/api.ts";
import { start, startDaemonProcess, stopDaemon, tuplewatch } from "../support/commands.ts";
import { allFreed, held, show } from "../support/kernel-objects.ts";

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
    await stopDaemon(daemon);
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
    const daemon = await startDaemonProcess();
    const { kernel } = await getStatus(daemon.url);
    await stopDaemon(daemon);
    assert.deepEqual(
      report.probes.map(({ chosen }: { chosen?: string }) => chosen ?? null),
      kernel?.probes.map(({ backend }) => backend),
      "what a daemon takes",
    );
    const lacks = report.probes.some((p: { chosen?: string }) => p.chosen === undefined);
    assert.equal(code, lacks ? 1 : 0);
    for (const { probe, backends, chosen } of report.probes) {
      const available = backends.filter((b: { available: boolean }) => b.available);
      assert.equal(chosen, available[0]?.backend, probe);
      for (const { available: works, reason } of backends)
        assert.equal(works, reason === undefined);
    }
  });
});
