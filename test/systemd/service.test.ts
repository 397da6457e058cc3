import assert from "node:assert/strict";
import { execFileSync, spawnSync } from "node:child_process";
import {
  copyFileSync,
  existsSync,
  mkdirSync,
  readdirSync,
  readFileSync,
  rmSync,
  writeFileSync,
} from "node:fs";
import { after, before, describe, test } from "node:test";
import { eventsOf, metric } from "../support/feed.ts";
import { fetchAgain } from "../support/fetch.ts";
import { until } from "../support/until.ts";

const URL = "http://127.0.0.1:5961";
const DROP_INS = "/etc/systemd/system/tuplewatch.service.d";
const SETTINGS = "/etc/default/tuplewatch";
/** An emulated machine starts the daemon in some ten seconds. */
const LIMIT_MS = 90_000;
/** Of the unit's WatchdogSec, with what the manager and a restart take. */
const WATCHDOG_MS = 30_000 + LIMIT_MS;
/** Of the privileged process: systemd does not see that what serves has nothing of it. */
const MAX_EXPOSURE = 2.4;

function systemctl(...args: string[]): string {
  return execFileSync("systemctl", args, { encoding: "utf8" }).trim();
}

function property(name: string): string {
  return systemctl("show", "tuplewatch.service", "--value", "--property", name);
}

function installer(...args: string[]): string {
  const command = ["tools/install-system.mjs", ...args];
  return execFileSync(process.execPath, command, { encoding: "utf8" });
}

interface Status {
  readonly privileges: { readonly capabilities: readonly string[] };
  readonly kernel: {
    readonly probes: readonly {
      readonly probe: string;
      readonly backend: string | null;
      readonly passed_over: readonly { readonly reason: string }[];
    }[];
    readonly network_namespaces: readonly unknown[];
  };
}

async function fetchStatus(): Promise<Status> {
  return (await (await fetchAgain(`${URL}/status`)).json()) as Status;
}

describe("the systemd service", () => {
  let told = "";
  before(() => {
    told = installer();
  });
  after(() => void spawnSync(process.execPath, ["tools/install-system.mjs", "--uninstall"]));

  test("is installed, enabled, started and says that it is ready", async () => {
    assert.match(told, /^tuplewatch runs/m);
    assert.equal(systemctl("is-active", "tuplewatch.service"), "active");
    assert.equal(systemctl("is-enabled", "tuplewatch.service"), "enabled");
    assert.match(property("StatusText"), /^serving on http:\/\/127\.0\.0\.1:5961: \d of 5 probes/);
    const { privileges } = await fetchStatus();
    assert.deepEqual(privileges.capabilities, [
      "CAP_DAC_READ_SEARCH",
      "CAP_KILL",
      "CAP_SETGID",
      "CAP_SETUID",
      "CAP_SYS_PTRACE",
      "CAP_SYS_ADMIN",
    ]);
  });

  test("has all its probes in its sandbox, by the best backends", async () => {
    const { kernel } = await fetchStatus();
    const backends = Object.fromEntries(
      kernel.probes.map(({ probe, backend }) => [probe, backend]),
    );
    assert.deepEqual(backends, {
      challenge_ack: "fentry",
      conntrack_insert_failed: "drop_tracepoint",
      connect: "fentry",
      port_bind: "fentry",
      stale_flow: null,
    });
    assert.ok(kernel.network_namespaces.length > 0);
  });

  test("serves events, also of a module and a namespace that come later", async () => {
    execFileSync("modprobe", ["nf_conntrack"]);
    execFileSync("ip", ["netns", "add", "later"]);
    const connect = "import socket; socket.socket().connect_ex(('127.0.0.1', 9))";
    execFileSync("ip", ["netns", "exec", "later", "ip", "link", "set", "lo", "up"]);
    execFileSync("ip", ["netns", "exec", "later", "python3", "-c", connect]);
    const events = await eventsOf(URL, 1, { type: "connect", netns: "later" });
    assert.equal(events.length, 1);
    assert.equal(events[0]?.result, "ECONNREFUSED");
    await until(async () => {
      return (await fetchStatus()).kernel.probes.every(({ backend }) => backend === "fentry");
    }, "the probes of conntrack are attached");
    // A scrape does not wait long for a census, and may tell of the one before.
    await until(async () => {
      const available = await metric(URL, "tuplewatch_local_ports_available");
      return [...available.keys()].some((labels) => labels.includes("later"));
    }, "the namespace's ports are told");
    assert.ok((await metric(URL, "tuplewatch_kernel_conntrack_total")).size > 0);
    execFileSync("ip", ["netns", "delete", "later"]);
  });

  test("serves from a process that has another user and no right", () => {
    const main = Number(property("MainPID"));
    const serving = readdirSync("/proc").find(
      (name) => /^\d+$/.test(name) && statusOf(name).PPid === String(main),
    );
    const [its, mains] = [statusOf(serving ?? ""), statusOf(String(main))];
    assert.notEqual(its.Uid, mains.Uid);
    for (const field of ["CapPrm", "CapEff", "CapAmb", "CapInh"]) {
      assert.equal(Number(`0x${its[field]}`), 0, field);
    }
    assert.deepEqual([its.NoNewPrivs, its.Seccomp], ["1", "2"]);
  });

  test("logs to journald, with priorities", () => {
    const args = ["--unit", "tuplewatch", "--output", "json", "--no-pager"];
    const text = execFileSync("journalctl", args, { encoding: "utf8" });
    const lines = text
      .trim()
      .split("\n")
      .map((line) => JSON.parse(line) as { MESSAGE: string; PRIORITY: string });
    const priorityOf = (start: string) =>
      lines.find(({ MESSAGE }) => MESSAGE.startsWith(start))?.PRIORITY;
    assert.equal(priorityOf("serving"), "6");
    assert.equal(priorityOf("not attached"), "4");
  });

  test("survives a restart, during which its socket answers late instead of not at all", async () => {
    const before = property("MainPID");
    systemctl("restart", "--no-block", "tuplewatch.service");
    await until(() => property("MainPID") !== before, "the process has ended", LIMIT_MS);
    // A connection of its own, as a scrape may have: it waits in the socket's backlog.
    const wait = ["--silent", "--fail", "--max-time", String(LIMIT_MS / 1000)];
    assert.match(execFileSync("curl", [...wait, `${URL}/healthz`], { encoding: "utf8" }), /"ok"/);
    await until(() => property("ActiveState") === "active", "active", LIMIT_MS);
    assert.equal(property("Result"), "success");
  });

  test("is restarted by the watchdog when it hangs", async () => {
    const hung = property("MainPID");
    process.kill(Number(hung), "SIGSTOP");
    const isReplaced = () => !["0", hung].includes(property("MainPID"));
    await until(isReplaced, "another process", WATCHDOG_MS);
    await until(() => property("ActiveState") === "active", "active", LIMIT_MS);
    assert.equal(property("NRestarts"), "1");
    assert.equal((await fetchAgain(`${URL}/healthz`)).status, 200);
    const log = execFileSync("journalctl", ["-u", "tuplewatch", "--no-pager"], {
      encoding: "utf8",
    });
    assert.match(log, /Watchdog timeout/);
  });

  test("attaches to tracepoints by number, without a mounted tracefs, if its filter is fitted", async () => {
    const hidden = "[Service]\nInaccessiblePaths=/sys/kernel/tracing /sys/kernel/debug\n";
    const backend = "Environment=TUPLEWATCH_BACKEND=syscall_tracepoint\n";
    mkdirSync(DROP_INS, { recursive: true });
    writeFileSync(`${DROP_INS}/hidden.conf`, hidden + backend);
    assert.match((await connectAfterRestart()) ?? "", /EPERM.*; results are seen by sys_enter/);
    copyFileSync("systemd/perf.conf", `${DROP_INS}/perf.conf`);
    assert.equal(await connectAfterRestart(), undefined);
    rmSync(DROP_INS, { recursive: true });
    systemctl("daemon-reload");
  });

  test("can be installed again, which keeps the settings", () => {
    const own = "TUPLEWATCH_LOG_LEVEL=debug\n";
    execFileSync("sh", ["-c", `printf '${own}' >${SETTINGS}`]);
    installer();
    assert.equal(readFileSync(SETTINGS, "utf8"), own);
    assert.equal(systemctl("is-active", "tuplewatch.service"), "active");
    assert.ok(!existsSync("/usr/local/lib/tuplewatch.old"));
  });

  test("stops in time and leaves nothing attached", async () => {
    systemctl("stop", "tuplewatch.socket", "tuplewatch.service");
    assert.equal(property("Result"), "success");
    const programs = () =>
      execFileSync("bpftool", ["prog", "show", "--json"], { encoding: "utf8" });
    // The kernel frees a program some time after its last descriptor is closed.
    await until(() => !/enter_udp_send|fentry_validate/.test(programs()), programs);
  });

  test("has correct units, and exposes little", () => {
    const units = ["service", "socket"].map(
      (kind) => `/usr/local/lib/systemd/system/tuplewatch.${kind}`,
    );
    const verified = spawnSync("systemd-analyze", ["verify", ...units], { encoding: "utf8" });
    assert.deepEqual([verified.status, verified.stderr], [0, ""]);
    const args = ["security", "--no-pager", "--json=off", "tuplewatch.service"];
    const report = spawnSync("systemd-analyze", args, { encoding: "utf8" }).stdout;
    const exposure = Number(/exposure level for tuplewatch\.service: ([\d.]+)/.exec(report)?.[1]);
    assert.ok(exposure > 0 && exposure <= MAX_EXPOSURE, report);
  });

  test("is uninstalled but for its settings", () => {
    assert.match(installer("--uninstall"), /^uninstalled; \/etc\/default\/tuplewatch is left$/m);
    for (const path of [
      "lib/tuplewatch",
      "bin/tuplewatch",
      "lib/systemd/system/tuplewatch.service",
    ]) {
      assert.ok(!existsSync(`/usr/local/${path}`), path);
    }
    assert.ok(existsSync(SETTINGS));
    assert.equal(spawnSync("systemctl", ["cat", "tuplewatch.service"]).status, 1);
    installer("--uninstall");
  });
});

/** Why the connect probe does not have the best programs of its backend. */
async function connectAfterRestart(): Promise<string | undefined> {
  systemctl("daemon-reload");
  systemctl("restart", "tuplewatch.service");
  const { probes } = (await fetchStatus()).kernel;
  const connect = probes.find(({ probe }) => probe === "connect");
  assert.equal(connect?.backend, "syscall_tracepoint");
  return connect.passed_over[0]?.reason;
}

/** Fields of proc_pid_status(5); none for a process that has ended. */
function statusOf(pid: string): Record<string, string> {
  try {
    const lines = readFileSync(`/proc/${pid}/status`, "utf8").split("\n");
    return Object.fromEntries(lines.map((line) => line.split(/:\s*/, 2)));
  } catch {
    return {};
  }
}
