import assert from "node:assert/strict";
import { existsSync, mkdtempSync, rmSync, writeFileSync } from "node:fs";
import { connect, createServer } from "node:net";
import { tmpdir } from "node:os";
import { join } from "node:path";
import { after, describe, it } from "node:test";
import { flagName, OPTION_NAMES } from "../../src/config/options.ts";
import { PROBES } from "../../src/probes/probes.ts";
import { curl, startDaemonProcess, tuplewatch } from "../support/commands.ts";
import { metric } from "../support/feed.ts";
import { until } from "../support/until.ts";

const directory = mkdtempSync(join(tmpdir(), "tuplewatch-cli-"));
after(() => rmSync(directory, { recursive: true }));

describe("tuplewatch --help and friends", () => {
  it("tell every setting, and examples", async () => {
    const { code, stdout } = await tuplewatch(["run", "--help"]).done;
    assert.equal(code, 0);
    for (const name of OPTION_NAMES) {
      assert.ok(stdout.includes(`  ${flagName(name)} <`), name);
    }
    assert.ok(stdout.includes("  --config <FILE>"));
    const top = await tuplewatch(["--help"]).done;
    assert.match(top.stdout, /^ {2}tuplewatch run --listen/m);
  });

  it("print the version", async () => {
    assert.match((await tuplewatch(["--version"]).done).stdout, /^\d+\.\d+\.\d+\n$/);
  });

  it("report on this machine, as text and as JSON", async () => {
    const text = await tuplewatch(["check"]).done;
    assert.match(text.stdout, /^kernel +\d+\.\d+/);
    assert.ok(!text.stdout.includes("\u001b"), "no colour in a pipe");
    const json = await tuplewatch(["check", "--json"]).done;
    assert.equal(JSON.parse(json.stdout).node, process.version);
  });
});

describe("wrong usage", () => {
  const wrong: [string[], string][] = [
    [[], "Usage: tuplewatch"],
    [["rn"], "Did you mean run?"],
    [["check", "--jsn"], "--jsn: unknown flag (did you mean --json?)"],
    [["run", "--listn", "x:1"], "--listn: unknown flag (did you mean --listen?)"],
    [["run", "--listen"], "--listen: needs a value, expected HOST:PORT"],
    [["run", "fast"], 'unexpected argument "fast"'],
    [["run", "--config"], "--config: needs a value"],
    [["run", "--config", "/nonexistent"], "no such file or directory (ENOENT)"],
  ];
  for (const [args, message] of wrong) {
    it(`ends with 2: tuplewatch ${args.join(" ")}`, async () => {
      const { code, stdout, stderr } = await tuplewatch(args).done;
      assert.equal(code, 2);
      assert.equal(stdout, "");
      assert.ok(stderr.includes(message), stderr);
    });
  }

  it("of flags, variables and the file is all told at once", async () => {
    const path = join(directory, "bad.yaml");
    writeFileSync(path, "max_clients: none\n");
    const args = ["run", "--config", path, "--ring-bytes", "1000", "--nope"];
    const { code, stderr } = await tuplewatch(args, { TUPLEWATCH_BACKEND: "magic" }).done;
    assert.equal(code, 2);
    const sources = stderr.split("\n").map((line) => line.split(" ")[1]);
    const expected = ["--nope:", "--ring-bytes:", "TUPLEWATCH_BACKEND:", `${path}:1:`];
    assert.deepEqual(sources.filter((source) => source !== undefined).sort(), expected.sort());
  });
});

describe("tuplewatch run", () => {
  for (const signal of ["SIGTERM", "SIGINT"] as const) {
    it(`ends its streams and exits with 0 on ${signal}`, async () => {
      // Without connect, which sees the clients themselves.
      const daemon = await startDaemonProcess(["--probes", "challenge_ack"]);
      const ndjson = curl(`${daemon.url}/events`);
      const sse = curl("--header", "Accept: text/event-stream", `${daemon.url}/events`);
      const clients = async () => (await curl(`${daemon.url}/status`).done).stdout;
      await until(async () => (await clients()).includes('"stream_clients":2'), "two streams");
      daemon.child.kill(signal);
      const { code, stdout, stderr } = await daemon.done;
      assert.equal(code, 0);
      assert.equal(stdout, "");
      assert.match(stderr, /"msg":"stopped"\}\n$/);
      assert.deepEqual(await ndjson.done, { code: 0, signal: null, stdout: "", stderr: "" });
      const { code: sseCode, stdout: sseText } = await sse.done;
      assert.equal(sseCode, 0);
      assert.equal(sseText, 'event: end\ndata: {"type":"end","reason":"shutdown"}\n\n');
    });
  }

  it("does not wait for the rest of a request, and for nothing on a second signal", async () => {
    for (const [signals, exitCode] of [
      [1, 0],
      [2, 1],
    ] as const) {
      const daemon = await startDaemonProcess();
      const { hostname, port } = new URL(daemon.url);
      const client = connect({ host: hostname, port: Number(port) });
      client.on("error", () => {});
      client.write("GET /events HTTP/1.1\r\nHost:");
      const isOpen = async () => {
        const open = await metric(daemon.url, "tuplewatch_http_connections");
        return (open.get("") ?? 0) >= 2;
      };
      await until(isOpen, "the connection is open");
      daemon.child.kill("SIGTERM");
      if (signals === 2) {
        await until(() => daemon.stderr().includes('"stopping"'), "it is stopping");
        daemon.child.kill("SIGTERM");
      }
      assert.equal((await daemon.done).code, exitCode);
      client.destroy();
    }
  });

  it("writes one JSON object per log line, and pretty lines when told", async () => {
    const json = await startDaemonProcess();
    json.child.kill("SIGTERM");
    const lines = (await json.done).stderr.trimEnd().split("\n");
    const messages = lines.map((line) => JSON.parse(line).msg as string);
    assert.deepEqual(messages.splice(PROBES.length), ["serving", "stopping", "stopped"]);
    const { probes } = JSON.parse((await tuplewatch(["check", "--json"]).done).stdout);
    assert.deepEqual(
      messages,
      probes.map(({ chosen }: { chosen?: string }) =>
        chosen === undefined ? "not attached: no backend works here" : "attached",
      ),
    );
    const pretty = tuplewatch(["run", "--listen", "127.0.0.1:0", "--log-format", "pretty"]);
    await until(() => pretty.stderr().includes("serving"), "a log line");
    pretty.child.kill("SIGTERM");
    assert.match((await pretty.done).stderr, /^\[\d\d:\d\d:\d\d\.\d+\] INFO: serving$/m);
  });

  it("says what to do when the port is taken", async () => {
    const first = await startDaemonProcess();
    const address = first.url.replace("http://", "");
    const { code, stderr } = await tuplewatch(["run", "--listen", address]).done;
    assert.equal(code, 1);
    const next = Number(address.split(":")[1]) + 1;
    assert.ok(stderr.includes(`cannot listen on ${address}: address already in use (EADDRINUSE)`));
    assert.ok(stderr.includes(`choose another with --listen 127.0.0.1:${next}`), stderr);
    first.child.kill("SIGTERM");
    await first.done;
  });

  it("says why it cannot listen elsewhere", async () => {
    const args = ["run", "--listen", "192.0.2.1:5961", "--allow-unauthenticated", "on"];
    const { code, stderr } = await tuplewatch(args).done;
    assert.equal(code, 1);
    assert.match(stderr, /cannot listen on 192\.0\.2\.1:5961: .* \(EADDRNOTAVAIL\)/);
  });

  it("serves on a unix socket, replaces a stale one and leaves none that it may remove", async () => {
    const path = join(directory, "watch.sock");
    for (const [signal, user, left] of [
      ["SIGKILL", "root", true],
      ["SIGTERM", "auto", true],
      ["SIGTERM", "root", false],
    ] as const) {
      const daemon = tuplewatch(["run", "--listen", `unix:${path}`, "--user", user]);
      await until(() => daemon.stderr().includes("serving"), "serving");
      const { stdout } = await curl("--unix-socket", path, "http://tuplewatch/healthz").done;
      assert.equal(stdout, '{"status":"ok"}\n');
      daemon.child.kill(signal);
      await daemon.done;
      assert.equal(existsSync(path), left);
    }
  });

  it("does not take the unix socket of somebody who answers", async () => {
    const path = join(directory, "other.sock");
    const other = createServer().listen(path);
    await until(() => other.listening, "listening");
    const { code, stderr } = await tuplewatch(["run", "--listen", `unix:${path}`]).done;
    assert.equal(code, 1);
    assert.match(stderr, /other\.sock is a socket on which somebody listens; another tuplewatch/);
    assert.ok(existsSync(path));
    other.close();
  });
});
