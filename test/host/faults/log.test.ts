import assert from "node:assert/strict";
import { execFileSync, spawn } from "node:child_process";
import { once } from "node:events";
import { closeSync, constants, mkdtempSync, openSync, readFileSync, rmSync } from "node:fs";
import { type AddressInfo, createServer } from "node:net";
import { tmpdir } from "node:os";
import { join } from "node:path";
import { after, describe, it } from "node:test";
import { MAIN } from "../../support/commands.ts";
import { metric } from "../../support/feed.ts";
import { until } from "../../support/until.ts";

const DIRECTORY = mkdtempSync(join(tmpdir(), "tuplewatch-log-"));

/** More than a pipe takes (64 KiB) and than lines may wait (256 KiB), at one line a request. */
const REQUESTS = 6000;

/** Makes a terminal that takes no output, tells its path, and keeps it until standard input ends. */
const TERMINAL = `
import os, pty, sys, termios
master, slave = pty.openpty()
termios.tcflow(slave, termios.TCOOFF)
print(os.ttyname(slave), flush=True)
sys.stdin.read()
`;

/** A daemon whose standard error is a descriptor that the test has opened. */
async function startWith(t: { after(end: () => void): void }, stderr: number, level = "debug") {
  const port = await freePort();
  const args = ["run", "--listen", `127.0.0.1:${port}`, "--log-format", "json"];
  const child = spawn(process.execPath, [MAIN, ...args, "--log-level", level], {
    stdio: ["ignore", "ignore", stderr],
  });
  closeSync(stderr);
  t.after(() => child.kill("SIGKILL"));
  const url = `http://127.0.0.1:${port}`;
  const ended = new Promise<number | null>((resolve) => child.once("exit", resolve));
  await until(() => isReady(url), "the daemon is ready", 120_000);
  return { child, url, ended };
}

/** Its log, which nobody can read, would tell the port of `:0`. */
async function freePort(): Promise<number> {
  const server = createServer().listen(0, "127.0.0.1");
  await once(server, "listening");
  const { port } = server.address() as AddressInfo;
  server.close();
  return port;
}

async function dropped(url: string): Promise<number> {
  return (await metric(url, "tuplewatch_log_lines_dropped_total")).get("") ?? Number.NaN;
}

async function isReady(url: string): Promise<boolean> {
  return (await fetch(`${url}/readyz`).catch(() => undefined))?.status === 200;
}

async function ask(url: string, requests: number): Promise<void> {
  for (let asked = 0; asked < requests; asked++) {
    const answer = await fetch(`${url}/healthz`);
    assert.equal(answer.status, 200);
    await answer.arrayBuffer();
  }
}

function makeFifo(name: string): string {
  const path = join(DIRECTORY, name);
  execFileSync("mkfifo", [path]);
  return path;
}

describe("a log that cannot be written", () => {
  after(() => rmSync(DIRECTORY, { recursive: true }));

  it("does not stop the daemon while its reader stalls; what was dropped is counted and told", async (t) => {
    const path = makeFifo("stalled");
    const reader = openSync(path, constants.O_RDONLY | constants.O_NONBLOCK);
    const { child, url, ended } = await startWith(t, openSync(path, "w"));
    await ask(url, REQUESTS);
    const cat = spawn("cat", [path], { stdio: ["ignore", "pipe", "inherit"] });
    t.after(() => cat.kill());
    let text = "";
    cat.stdout.setEncoding("utf8").on("data", (chunk: string) => {
      text += chunk;
    });
    await until(() => text.includes("log lines were dropped"), "the reader reads again", 60_000);
    const lost = await dropped(url);
    assert.ok(lost > 0, "more lines than fit");
    const lines = text
      .trimEnd()
      .split("\n")
      .map((line) => JSON.parse(line));
    const told = lines.filter(({ msg }) => /lines were dropped/.test(msg));
    assert.deepEqual(
      told.map(({ lines }) => lines),
      [lost],
    );
    const requests = lines.filter(({ route }) => route === "/healthz").length;
    assert.ok(requests + lost >= REQUESTS, `${requests} told, ${lost} dropped`);
    child.kill("SIGTERM");
    assert.equal(await ended, 0);
    closeSync(reader);
  });

  it("keeps nobody from ending the daemon", async (t) => {
    const path = makeFifo("ended");
    const reader = openSync(path, constants.O_RDONLY | constants.O_NONBLOCK);
    const { child, url, ended } = await startWith(t, openSync(path, "w"));
    await ask(url, REQUESTS);
    child.kill("SIGTERM");
    assert.equal(await ended, 0);
    closeSync(reader);
  });

  it("does not stop it either on a terminal that was told to stop (Ctrl-S)", async (t) => {
    const terminal = spawn("python3", ["-c", TERMINAL], { stdio: ["pipe", "pipe", "inherit"] });
    t.after(() => terminal.kill());
    const [path] = (await once(terminal.stdout.setEncoding("utf8"), "data")) as [string];
    const { child, url, ended } = await startWith(t, openSync(path.trim(), "w"));
    await ask(url, REQUESTS);
    assert.ok((await dropped(url)) > 0);
    child.kill("SIGTERM");
    assert.equal(await ended, 0);
  });

  it("costs lines, and no more, when the reader has gone", async (t) => {
    const path = makeFifo("gone");
    const reader = openSync(path, constants.O_RDONLY | constants.O_NONBLOCK);
    const { child, url, ended } = await startWith(t, openSync(path, "w"));
    closeSync(reader);
    await ask(url, 10);
    assert.ok((await dropped(url)) >= 10);
    child.kill("SIGTERM");
    assert.equal(await ended, 0);
  });

  it("goes on, in order, once a full disk has room again", async (t) => {
    const disk = join(DIRECTORY, "disk");
    execFileSync("mkdir", [disk]);
    execFileSync("mount", ["-t", "tmpfs", "-o", "size=64k", "tmpfs", disk]);
    t.after(() => execFileSync("umount", ["--lazy", disk]));
    const ballast = join(disk, "ballast");
    const log = join(disk, "log");
    const { child, url, ended } = await startWith(t, openSync(log, "a"));
    execFileSync("sh", ["-c", 'cat /dev/zero >"$0" 2>/dev/null || true', ballast]);
    await ask(url, 200);
    rmSync(ballast);
    const asked = () => readFileSync(log, "utf8").split('"route":"/healthz"').length - 1;
    await until(() => asked() >= 200, "the lines are written", 60_000);
    assert.equal(await dropped(url), 0);
    for (const line of readFileSync(log, "utf8").trimEnd().split("\n")) JSON.parse(line);
    child.kill("SIGTERM");
    assert.equal(await ended, 0);
  });
});
