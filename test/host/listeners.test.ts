import assert from "node:assert/strict";
import { existsSync, mkdtempSync, rmSync, writeFileSync } from "node:fs";
import { tmpdir } from "node:os";
import { join } from "node:path";
import { after, before, describe, it } from "node:test";
import { makeAuthority, makeCertificate } from "../support/certificates.ts";
import {
  curl,
  type DaemonProcess,
  start,
  startDaemonProcess,
  stopDaemon,
  tuplewatch,
} from "../support/commands.ts";
import { accountedFor, parseNdjson } from "../support/events.ts";
import { until } from "../support/until.ts";

const folder = mkdtempSync(join(tmpdir(), "tuplewatch-listeners-"));
const path = join(folder, "all.sock");
after(() => rmSync(folder, { recursive: true }));

const startWith = (...args: string[]) => startDaemonProcess(["--backend", "counters", ...args]);

async function get(url: string, ...args: string[]) {
  const { stdout } = await curl("--include", "--path-as-is", ...args, url).done;
  const [head = "", body = ""] = stdout.split("\r\n\r\n");
  return { status: Number(head.split(" ")[1]), body };
}

/** Of what is logged besides the first address. */
function others({ stderr }: DaemonProcess): string[] {
  const line = stderr()
    .split("\n")
    .find((text) => text.includes('"serving"'));
  return (JSON.parse(line ?? "{}") as { others?: string[] }).others ?? [];
}

describe("a daemon on a socket, and for metrics on loopback", () => {
  let daemon: DaemonProcess;
  let metricsUrl: string;
  const unix = ["--unix-socket", path];
  before(async () => {
    const listen = ["--listen", `unix:${path}`, "--listen", "127.0.0.1:0=metrics"];
    daemon = await startWith(...listen, "--user", "root", "--max-clients", "1");
    metricsUrl = others(daemon)[0]?.replace(" (metrics)", "") ?? "";
  });

  it("says where it serves what", () => {
    assert.equal(daemon.url, `unix:${path}`);
    assert.match(others(daemon).join(), /^http:\/\/127\.0\.0\.1:\d+ \(metrics\)$/);
  });

  it("serves everything on the one", async () => {
    for (const name of ["", "metrics", "status", "findings", "ports", "events?follow=false"]) {
      assert.equal((await get(`http://any.name/${name}`, ...unix)).status, 200, name);
    }
  });

  it("serves three paths on the other, and says so for the rest", async () => {
    for (const name of ["metrics", "healthz", "readyz", "%6detrics", "metrics?x=/events"]) {
      assert.equal((await get(`${metricsUrl}/${name}`)).status, 200, name);
    }
    for (const name of [
      "",
      "status",
      "findings",
      "ports",
      "events",
      "%65vents",
      "openapi.json",
      "assets/page/main.js",
      "metrics/../events",
      "metrics%2f..%2fevents",
      "nope",
    ]) {
      const { status, body } = await get(`${metricsUrl}/${name}`);
      assert.equal(status, 403, name);
      const { code, message } = JSON.parse(body).error;
      assert.equal(code, "not_served_here");
      assert.equal(message, "this address serves only /metrics, /healthz, /readyz");
    }
    // What the page asks for its data must not get further by its method either.
    assert.equal((await get(`${metricsUrl}/events`, "--head")).status, 403);
    assert.equal((await get(`${metricsUrl}/events`, "--request", "POST")).status, 403);
  });

  it("has the rules of each address: host names count on loopback only", async () => {
    const host = ["--header", "Host: evil.example"];
    assert.equal((await get(`${metricsUrl}/metrics`, ...host)).status, 403);
    assert.equal((await get("http://x/metrics", ...unix, ...host)).status, 200);
  });

  it("answers the commands there", async () => {
    const { code, stdout } = await tuplewatch(["status", "--url", `unix:${path}`]).done;
    assert.equal(code, 0, stdout);
    const refused = await tuplewatch(["status", "--url", metricsUrl]).done;
    assert.equal(refused.code, 1);
    assert.match(refused.stderr, /this address serves only \/metrics/);
  });

  it("takes its socket's file away", async () => {
    await stopDaemon(daemon);
    assert.ok(!existsSync(path));
  });
});

describe("several addresses", () => {
  it("share limits", async () => {
    const listen = ["--listen", "127.0.0.1:0", "--listen", "[::1]:0"];
    const daemon = await startWith(...listen, "--max-clients", "1");
    const [other = ""] = others(daemon);
    const stream = curl(`${daemon.url}/events`);
    await until(async () => (await get(`${other}/status`)).body.includes('"stream_clients":1'), "");
    const { status, body } = await get(`${other}/events`);
    assert.equal(status, 503);
    assert.match(body, /"too_many_clients"/);
    stream.child.kill("SIGKILL");
    await stopDaemon(daemon);
  });

  it("come from the variable too, by spaces", async () => {
    const listen = `TUPLEWATCH_LISTEN=127.0.0.1:0 unix:${path}=metrics`;
    const run = start("env", [listen, process.execPath, "build/src/cli/main.js", "run"]);
    await until(() => run.stderr().includes('"serving"'), "serving", 60_000);
    assert.match(run.stderr(), /"others":\["unix:.*all\.sock \(metrics\)"\]/);
    run.child.kill("SIGTERM");
    assert.equal((await run.done).code, 0);
    rmSync(path, { force: true });
  });

  it("are all told of that are wrong, and that need access rules", async () => {
    const wrong = await tuplewatch(["run", "--listen", "x", "--listen", "a:1", "--listen", "y"])
      .done;
    assert.equal(wrong.code, 2);
    assert.equal(wrong.stderr.match(/^tuplewatch: --listen: invalid value "[xy]"/gm)?.length, 2);
    const open = ["--listen", "0.0.0.0:0=metrics", "--listen", "127.0.0.1:0", "--listen", "[::]:0"];
    const { code, stderr } = await tuplewatch(["run", ...open]).done;
    assert.equal(code, 2);
    const refused = stderr.match(/^tuplewatch: cannot serve on \S+ without authentication/gm) ?? [];
    assert.deepEqual(
      refused.map((line) => line.split(" ")[4]),
      ["0.0.0.0:0", "[::]:0"],
    );
    const allowed = await startWith(...open.slice(0, 4), "--allow-unauthenticated", "on");
    assert.match(allowed.stderr(), /everybody who can reach 0\.0\.0\.0:0 can read the metrics/);
    assert.doesNotMatch(allowed.stderr(), /who can reach 127/);
    await stopDaemon(allowed);
  });

  it("leave nothing behind where one of them cannot be had", async () => {
    const first = await startWith();
    const taken = first.url.replace("http://", "");
    const args = ["run", "--listen", `unix:${path}`, "--listen", taken];
    const { code, stderr } = await tuplewatch(args).done;
    assert.equal(code, 1);
    assert.match(stderr, /cannot listen on 127\.0\.0\.1:\d+: address already in use/);
    assert.ok(!existsSync(path));
    await stopDaemon(first);
  });

  it("have TLS but for unix sockets, and passwords all of them", async () => {
    const authority = makeAuthority(folder, "authority");
    const { cert, key } = makeCertificate(folder, "server", authority, "IP:127.0.0.1");
    const webConfig = join(folder, "web.yaml");
    writeFileSync(webConfig, `tls_server_config: { cert_file: ${cert}, key_file: ${key} }\n`);
    const tokens = join(folder, "tokens");
    writeFileSync(tokens, "dGhpcy1pcy1hLXRva2Vu\n");
    const files = ["--web-config", webConfig, "--bearer-token-file", tokens];
    const listen = ["--listen", "127.0.0.1:0", "--listen", `unix:${path}`];
    const daemon = await startWith(...listen, ...files, "--user", "root");
    assert.equal((await get(`${daemon.url}/healthz`, "--cacert", authority.cert)).status, 401);
    assert.equal((await get("http://x/healthz", "--unix-socket", path)).status, 401);
    const url = ["--url", `unix:${path}`];
    assert.equal((await tuplewatch(["status", ...url, "--token-file", tokens]).done).code, 0);
    await stopDaemon(daemon);
  });
});

/** Two sockets, named as their units say (sd_listen_fds_with_names(3)). */
const HAND_OVER = `
import fcntl, os, socket, sys
path, *command = sys.argv[1:]
unix = socket.socket(socket.AF_UNIX); unix.bind(path); unix.listen()
inet = socket.socket(); inet.bind(("127.0.0.1", 0)); inet.listen()
for index, fd in enumerate([fcntl.fcntl(each, fcntl.F_DUPFD, 100) for each in (unix, inet)]):
    os.dup2(fd, 3 + index)
    os.set_inheritable(3 + index, True)
os.environ.update(LISTEN_PID=str(os.getpid()), LISTEN_FDS="2")
os.environ.update(LISTEN_FDNAMES="tuplewatch.socket:metrics")
os.execvp(command[0], command)
`;

describe("a daemon that is handed two sockets", () => {
  it("limits the one that is named metrics", async () => {
    const handed = join(folder, "handed.sock");
    const wrapper = ["python3", "-c", HAND_OVER, handed];
    const args = ["--backend", "counters", "--listen", "systemd"];
    const daemon = await startDaemonProcess(args, { wrapper });
    const url = others(daemon)[0]?.replace(" (metrics)", "") ?? "";
    const all = await get("http://x/events?follow=false", "--unix-socket", handed);
    assert.deepEqual([all.status, accountedFor(parseNdjson(all.body), 1)], [200, 0]);
    assert.equal((await get(`${url}/events`)).status, 403);
    assert.equal((await get(`${url}/metrics`)).status, 200);
    await stopDaemon(daemon);
    assert.ok(existsSync(handed), "it is the service manager's");
  });
});

describe("the commands without --url", () => {
  /** In a mount namespace whose /run is its own. */
  const inOwnRun = (script: string) =>
    start("unshare", ["--mount", "sh", "-c", `mount -t tmpfs none /run && ${script}`]).done;
  const main = "node build/src/cli/main.js";
  const socket = "/run/tuplewatch/tuplewatch.sock";
  const serve = `mkdir /run/tuplewatch && { ${main} run --backend counters --listen unix:${socket} 2>/run/log & }
    until grep -q serving /run/log; do sleep 0.1; done; kill="kill $!"`;

  it("ask the daemon on the well-known socket", async () => {
    const { code, stdout, stderr } = await inOwnRun(
      `${serve}; ${main} status; code=$?; $kill; exit $code`,
    );
    assert.equal(code, 0, stderr);
    assert.match(stdout, /^tuplewatch .*, ready$/m);
  });

  const fallback = /cannot reach 127\.0\.0\.1:5961|^tuplewatch .* up /m;

  it("ask on the default address where there is none, nobody answers or they may not", async () => {
    const stale = `mkdir /run/tuplewatch && python3 -c 'import socket
socket.socket(socket.AF_UNIX).bind("${socket}")' && test -S ${socket} &&`;
    const asNobody = "setpriv --reuid=65534 --regid=65534 --clear-groups";
    for (const script of [
      `${main} status`,
      `${stale} ${main} status`,
      `${serve}; ${asNobody} ${main} status; $kill`,
    ]) {
      const { stdout, stderr } = await inOwnRun(script);
      assert.match(stdout + stderr, fallback, script);
    }
  });
});
