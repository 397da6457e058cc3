import assert from "node:assert/strict";
import {
  chmodSync,
  closeSync,
  mkdtempSync,
  openSync,
  readdirSync,
  readFileSync,
  readlinkSync,
  rmSync,
  writeFileSync,
  writeSync,
} from "node:fs";
import { tmpdir } from "node:os";
import { join } from "node:path";
import { after, before, describe, it } from "node:test";
import {
  type Running,
  servingPid,
  start,
  startDaemonProcess,
  stopDaemon,
  suiteDaemon,
} from "../../support/commands.ts";
import { seesConnect } from "../../support/connects.ts";
import { metric } from "../../support/feed.ts";
import { type Attack, attacks, makeCalls, type SystemCall } from "../../support/intruder.ts";
import { until } from "../../support/until.ts";

const DIRECTORY = mkdtempSync(join(tmpdir(), "tuplewatch-intruder-"));

/** Nothing but rights and the filter stands between an intruder and these. */
function openDirectory(name: string): string {
  const directory = mkdtempSync(join(DIRECTORY, name));
  writeFileSync(join(directory, "there"), "as it was\n");
  chmodSync(join(directory, "there"), 0o666);
  chmodSync(directory, 0o777);
  chmodSync(DIRECTORY, 0o755);
  return directory;
}

/** Prints the descriptor of a socket on which it listens, and does nothing more. */
const VICTIM = `
import socket, time
listener = socket.create_server(("127.0.0.1", 0))
print(listener.fileno(), flush=True)
while True:
    time.sleep(0.1)
`;

/** Apart from the host in what the attacks change there. */
async function startVictim(): Promise<{ victim: Running; listenerFd: number }> {
  const victim = start("unshare", ["--uts", "--ipc", "--mount", "python3", "-c", VICTIM]);
  await until(() => victim.stdout().endsWith("\n"), "a victim");
  return { victim, listenerFd: Number(victim.stdout()) };
}

async function outcomesOf(pid: number, tried: readonly Attack[]): Promise<Record<string, string>> {
  const outcomes = await makeCalls(
    pid,
    tried.map(({ call }) => call),
  );
  return Object.fromEntries(tried.map(({ what }, index) => [what, outcomes[index] ?? "none"]));
}

const refusalOf = ({ refusal = "EPERM" }: Attack) => refusal;

/** Of maps, by the descriptors of a process: their type and id (bpf_map_show_fdinfo()). */
function mapsOf(pid: number): { fd: number; type: number; id: number }[] {
  return readdirSync(`/proc/${pid}/fdinfo`).flatMap((fd) => {
    const text = readFileSync(`/proc/${pid}/fdinfo/${fd}`, "utf8");
    const field = (name: string) => new RegExp(`^${name}:\t(\\d+)$`, "m").exec(text)?.[1];
    const [type, id] = [field("map_type"), field("map_id")];
    return type === undefined ? [] : [{ fd: Number(fd), type: Number(type), id: Number(id) }];
  });
}

const BPF_MAP_TYPE_RINGBUF = 27;
const PAGE_BYTES = 4096;
const READ = 1;
const READ_WRITE = 3;
const MAP_SHARED = 1;
const mapRing = (fd: number, offset: number, protection: number): SystemCall => {
  return [9, 0, PAGE_BYTES, protection, MAP_SHARED, fd, offset];
};

describe("somebody who runs code of his own in the process that serves", {
  skip: process.arch !== "x64" && "registers of x86-64",
}, () => {
  const daemon = suiteDaemon();
  const parent = () => daemon.child.pid as number;
  after(() => rmSync(DIRECTORY, { recursive: true }));

  it("is refused what would work elsewhere", async () => {
    const directory = openDirectory("daemon-");
    const child = servingPid(daemon);
    const tried = attacks({ parent: parent(), directory, listenerFd: listenerOf(child) });
    const expected = Object.fromEntries(tried.map((attack) => [attack.what, refusalOf(attack)]));
    assert.deepEqual(await outcomesOf(child, tried), expected);
    assert.deepEqual(readdirSync(directory), ["there"]);
    assert.equal(readFileSync(join(directory, "there"), "utf8"), "as it was\n");
  });

  describe("(the same in an ordinary process of root)", () => {
    let bait: Running;
    before(async () => {
      bait = (await startVictim()).victim;
    });
    after(() => bait.child.kill("SIGKILL"));

    it("is refused nothing", async () => {
      const directory = openDirectory("victim-");
      const { victim, listenerFd } = await startVictim();
      try {
        const surroundings = { parent: bait.child.pid as number, directory, listenerFd };
        const all = attacks(surroundings);
        const tried = all.filter(({ startsProcess }) => startsProcess !== true);
        const outcomes = await outcomesOf(victim.child.pid as number, tried);
        const refused = tried.filter((attack) => outcomes[attack.what] === refusalOf(attack));
        assert.deepEqual(
          refused.map(({ what }) => what),
          [],
        );
        const succeeded = Object.values(outcomes).filter((outcome) => outcome === "ok");
        assert.ok(succeeded.length > tried.length / 2, JSON.stringify(outcomes));
      } finally {
        victim.child.kill("SIGKILL");
      }
    });
  });

  it("has the rings, and no other map", () => {
    const own = mapsOf(servingPid(daemon));
    assert.ok(own.length > 0);
    assert.deepEqual(
      own.filter(({ type }) => type !== BPF_MAP_TYPE_RINGBUF),
      [],
    );
    const parents = mapsOf(parent());
    const counters = parents.filter(({ type }) => type !== BPF_MAP_TYPE_RINGBUF);
    assert.ok(counters.length > 0, "the parent has them");
    const kinds = ["bpf-prog", "bpf_link", "bpf-map", "perf_event", "btf", "io_uring"];
    const found = linksOf(servingPid(daemon)).filter(({ target }) =>
      kinds.some((kind) => target.includes(kind)),
    );
    assert.deepEqual(new Set(found.map(({ target }) => target)), new Set(["anon_inode:bpf-map"]));
    assert.equal(found.length, own.length);
  });

  it("cannot write events into a ring", async () => {
    const child = servingPid(daemon);
    const [ring] = mapsOf(child);
    assert.ok(ring !== undefined);
    const maps = readFileSync(`/proc/${child}/maps`, "utf8");
    const [, from, to] = /^(\w+)-(\w+) r--s .*bpf-map$/m.exec(maps) ?? [];
    const start = Number.parseInt(from ?? "", 16);
    const bytes = Number.parseInt(to ?? "", 16) - start;
    const outcomes = await makeCalls(child, [
      mapRing(ring.fd, 0, READ_WRITE),
      mapRing(ring.fd, PAGE_BYTES, READ),
      mapRing(ring.fd, PAGE_BYTES, READ_WRITE),
      mapRing(ring.fd, 2 * PAGE_BYTES, READ_WRITE),
      [10, start, bytes, READ_WRITE],
    ]);
    assert.deepEqual(outcomes, ["ok", "ok", "EPERM", "EPERM", "EACCES"]);
  });

  it("is under the filter on every thread", () => {
    const child = servingPid(daemon);
    const modes = readdirSync(`/proc/${child}/task`).map((thread) => {
      const status = readFileSync(`/proc/${child}/task/${thread}/status`, "utf8");
      return /^Seccomp:\t(\d)$/m.exec(status)?.[1];
    });
    assert.ok(modes.length > 3);
    assert.deepEqual(new Set(modes), new Set(["2"]));
  });

  it("leaves a process that serves and sees connects", async () => {
    assert.equal((await fetch(`${daemon.url}/healthz`)).status, 200);
    await seesConnect(daemon);
    assert.equal(await restartsOf(daemon.url), 0);
  });
});

describe("a system call of x32", {
  skip: process.arch !== "x64" && "calls of x86-64",
}, () => {
  it("ends the process that serves, and the next one sees connects, whatever the first left", async () => {
    const daemon = await startDaemonProcess();
    const child = servingPid(daemon);
    await seesConnect(daemon);
    damagePositions(child);
    const getpidOfX32 = 0x40000000 + 39;
    assert.deepEqual(await makeCalls(child, [[getpidOfX32]]), ["SIGSYS"]);
    await until(async () => (await restartsOf(daemon.url)) === 1, "another");
    assert.notEqual(servingPid(daemon), child);
    await seesConnect(daemon);
    assert.match(daemon.stderr(), /"how":"SIGSYS"/);
    await stopDaemon(daemon);
  });
});

async function restartsOf(url: string): Promise<number | undefined> {
  return (await metric(url, "tuplewatch_serving_process_restarts_total")).get("");
}

function linksOf(pid: number): { fd: number; target: string }[] {
  return readdirSync(`/proc/${pid}/fd`).map((fd) => {
    return { fd: Number(fd), target: readlinkSync(`/proc/${pid}/fd/${fd}`) };
  });
}

/** How far it has read each ring is the only thing of a ring that it may write. */
function damagePositions(pid: number): void {
  const maps = readFileSync(`/proc/${pid}/maps`, "utf8");
  const pages = [...maps.matchAll(/^(\w+)-\w+ rw-s .*bpf-map$/gm)];
  assert.ok(pages.length > 0);
  const memory = openSync(`/proc/${pid}/mem`, "r+");
  for (const [, page = ""] of pages) {
    writeSync(memory, Buffer.from([1, 0, 0, 0, 0, 0, 0, 0]), 0, 8, Number.parseInt(page, 16));
  }
  closeSync(memory);
}

/** The one on which it listens with TCP (state 0A of /proc/PID/net/tcp). */
function listenerOf(pid: number): number {
  const lines = readFileSync(`/proc/${pid}/net/tcp`, "utf8").split("\n").slice(1);
  const listening = lines.map((line) => line.trim().split(/\s+/)).filter((row) => row[3] === "0A");
  const sockets = new Set(listening.map((row) => `socket:[${row[9]}]`));
  const found = linksOf(pid).find(({ target }) => sockets.has(target));
  return found?.fd ?? assert.fail(`process ${pid} listens on nothing`);
}
