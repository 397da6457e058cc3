import assert from "node:assert/strict";
import { execFileSync, spawn } from "node:child_process";
import { once } from "node:events";
import { readFileSync, readlinkSync, rmSync, writeFileSync } from "node:fs";
import { after, describe, test } from "node:test";
import { fileURLToPath } from "node:url";
import { findNamespaces, inNamespace, NamespaceGoneError } from "../../src/kernel/namespaces.ts";
import { PortSampler } from "../../src/ports/sampler.ts";
import { takePortSnapshot } from "../../src/ports/snapshot.ts";
import { getStatus } from "../support/api.ts";
import { startDaemonProcess, stopDaemon } from "../support/commands.ts";
import { metric } from "../support/feed.ts";
import { Netns } from "../support/netns.ts";
import { find, holdPorts } from "../support/ports.ts";
import { until } from "../support/until.ts";

const OWN = "/proc/thread-self/ns/net";

describe("network namespaces", () => {
  const netns = new Netns();
  after(() => netns.delete());

  test("are found by name, by process, and with the own one first", async () => {
    const nameless = spawn("unshare", ["--net", "sleep", "60"], { stdio: "ignore" });
    await once(nameless, "spawn");
    const theirs = () => readlinkSync(`/proc/${nameless.pid}/ns/net`);
    await until(() => theirs() !== readlinkSync(OWN), "it is in a namespace of its own");
    const { namespaces, leftOut } = await findNamespaces();
    assert.equal(leftOut, 0);
    assert.equal(`net:[${namespaces[0]?.inum}]`, readlinkSync(OWN));
    const found = namespaces.find(({ inum }) => `net:[${inum}]` === theirs());
    nameless.kill();
    await once(nameless, "exit");
    assert.ok(found);
    assert.equal(found.name, undefined);
    const named = await find(netns);
    assert.equal(named.name, netns.name);
    const cookies = namespaces.map(({ cookie }) => cookie);
    assert.ok(cookies.every((cookie) => cookie !== undefined && cookie > 0n));
    assert.equal(new Set(cookies).size, cookies.length);
    await assert.rejects(takePortSnapshot(found), NamespaceGoneError);
  });

  test("a file that is no namespace is none, though it is among the names", async () => {
    const file = `/run/netns/tw-test-stale-${process.pid}`;
    writeFileSync(file, "");
    try {
      const { namespaces } = await findNamespaces();
      assert.ok(namespaces.every(({ path }) => path !== file));
    } finally {
      rmSync(file);
    }
  });

  test("are entered and left, also when what is done there fails", async () => {
    netns.sysctl("net.ipv4.ip_local_port_range", "20000 20999");
    const namespace = await find(netns);
    const range = "/proc/sys/net/ipv4/ip_local_port_range";
    const home = readlinkSync(OWN);
    const there = inNamespace(namespace, () => [readlinkSync(OWN), readFileSync(range, "utf8")]);
    assert.deepEqual(there, [`net:[${netns.inum}]`, "20000\t20999\n"]);
    const fail = () => {
      throw new RangeError("there");
    };
    assert.throws(() => inNamespace(namespace, fail), { message: "there" });
    assert.equal(readlinkSync(OWN), home);
    const another = { ...namespace, cookie: 1n << 60n };
    assert.throws(() => inNamespace(another, fail), NamespaceGoneError);
    assert.throws(() => inNamespace({ ...namespace, inum: 1 }, fail), NamespaceGoneError);
  });

  test("a process that cannot find its way back ends and says so", async () => {
    const module = fileURLToPath(new URL("../../src/kernel/namespaces.js", import.meta.url));
    const script = `
      import { closeSync, readdirSync, readlinkSync } from "node:fs";
      import { findNamespaces, inNamespace } from ${JSON.stringify(module)};
      const { namespaces } = await findNamespaces();
      const home = readlinkSync("${OWN}");
      inNamespace(namespaces.find(({ inum }) => inum === ${netns.inum}), () => {
        for (const fd of readdirSync("/proc/self/fd")) {
          try {
            if (readlinkSync("/proc/self/fd/" + fd) === home) closeSync(Number(fd));
          } catch {}
        }
      });
      console.log("still here");`;
    const child = spawn(process.execPath, ["--input-type=module", "-e", script]);
    const text = { stdout: "", stderr: "" };
    child.stdout.on("data", (chunk) => (text.stdout += chunk));
    child.stderr.on("data", (chunk) => (text.stderr += chunk));
    const [code] = await once(child, "close");
    assert.deepEqual([code, text.stdout], [1, ""]);
    assert.match(text.stderr, /^tuplewatch: return to the own network namespace: .*EBADF/);
  });

  test("may vanish during a port scan", async () => {
    const names = Array.from({ length: 12 }, (_, index) => `tw-vanish-${process.pid}-${index}`);
    const batch = (verb: string) => names.map((name) => `netns ${verb} ${name}\n`).join("");
    const errors: unknown[] = [];
    const onError = (error: unknown) => void errors.push(error);
    for (let round = 0; round < 5; round++) {
      execFileSync("ip", ["-batch", "-"], { input: batch("add") });
      const sampler = new PortSampler({ onError, patienceMs: 10_000 });
      const deleting = spawn("ip", ["-batch", "-"], { stdio: ["pipe", "ignore", "inherit"] });
      deleting.stdin.end(batch("delete"));
      const [scan] = await Promise.all([sampler.latest(), once(deleting, "exit")]);
      assert.ok(scan?.snapshots.some(({ netns: { name } }) => name === netns.name));
      assert.deepEqual([sampler.failures, errors], [0, []]);
    }
  });

  test("a port scan is made once for all who ask, and believed for a while", async () => {
    const sampler = new PortSampler({
      onError: assert.fail,
      intervalMs: 200,
      maxCpuRatio: 1,
      patienceMs: 10_000,
    });
    const [one, other] = await Promise.all([sampler.latest(), sampler.latest()]);
    assert.ok(one !== undefined && one === other);
    assert.equal(await sampler.latest(), one);
    await new Promise((resolve) => setTimeout(resolve, 250));
    assert.notEqual(await sampler.latest(), one);
    await sampler.stop();
    const last = await sampler.latest();
    await new Promise((resolve) => setTimeout(resolve, 250));
    assert.equal(await sampler.latest(), last);
  });
});

describe("the daemon", () => {
  test("tells ports by the namespace's name, in /metrics and /status", async () => {
    const netns = new Netns();
    netns.sysctl("net.ipv4.ip_local_port_range", "20000 20999");
    const held = await holdPorts(netns, { tcp: 21, udp_bound: 4 });
    const daemon = await startDaemonProcess(["--backend", "counters"]);
    const value = async (name: string, labels: string) =>
      (await metric(daemon.url, `tuplewatch_${name}`)).get(labels);
    await until(async () => (await value("network_namespaces", "")) !== undefined, "a port scan");
    const labels = (protocol: string) => `{netns="${netns.name}",protocol="${protocol}"}`;
    assert.equal(await value("local_ports_in_use", labels("tcp")), 21);
    assert.equal(await value("local_ports_in_use", labels("udp")), 4);
    assert.equal(await value("local_ports_available", labels("tcp")), 1000);
    assert.equal(await value("namespace_census_failures_total", ""), 0);
    assert.equal(await value("network_namespaces_unlabelled", ""), 0);
    const age = (await value("namespace_census_age_seconds", "")) ?? Number.NaN;
    assert.ok(age >= 0 && age < 10, String(age));
    const { kernel } = await getStatus(daemon.url);
    const found = kernel?.network_namespaces.find(({ name }) => name === netns.name);
    assert.deepEqual(found?.local_ports, {
      low: 20_000,
      high: 20_999,
      available: 1000,
      tcp: { in_use: 21, bound_without_peer: 0, sockets: 21 },
      udp: { in_use: 4, bound_without_peer: 4, sockets: 4 },
      top_destinations: [
        {
          protocol: "tcp",
          peer: { address: "127.0.0.1", port: 4500 },
          ports: 21,
          states: { established: 21 },
        },
      ],
    });
    await stopDaemon(daemon);
    await held.end();
    netns.delete();
  });
});
