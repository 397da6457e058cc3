import assert from "node:assert/strict";
import { mkdtempSync, rmSync, writeFileSync } from "node:fs";
import { tmpdir } from "node:os";
import { join } from "node:path";
import { after, before, describe, test } from "node:test";
import { start, suiteDaemon, tuplewatch } from "../support/commands.ts";
import { provoke } from "../support/connects.ts";
import { connectBatch } from "../support/events.ts";
import { eventsOf } from "../support/feed.ts";
import { FAULTS, Netns } from "../support/netns.ts";
import { startServer, suiteScope, type TestServer } from "../support/server.ts";
import { until } from "../support/until.ts";

async function done(...args: string[]) {
  return tuplewatch(args).done;
}

describe("the commands that ask a daemon", () => {
  const daemon = suiteDaemon();
  let url: string;
  let netns: Netns;

  before(async () => {
    url = daemon.url;
    await provoke(url, "refused", 3, 3);
    netns = new Netns();
    netns.sysctl("net.ipv4.ip_local_port_range", "30000\t30005");
    netns.exec("python3", `${FAULTS}connects.py`, "exhausted", "12");
    await eventsOf(url, 12, { type: "connect", netns: netns.name });
  });
  after(() => netns.delete());

  test("tail prints a line for each event that matches", async () => {
    const query = ["--type", "connect", "--result", "ECONNREFUSED"];
    const { code, stdout } = await done(
      "tail",
      "--url",
      url,
      "--since",
      "0",
      "--no-follow",
      ...query,
    );
    assert.equal(code, 0);
    const lines = stdout.trimEnd().split("\n");
    assert.equal(lines.length, 3);
    for (const line of lines) {
      assert.match(line, /^[\d:.]{12} {2}connect +python3\[\d+\] .* ECONNREFUSED {2}[\d.]+ .*s/);
    }
  });

  test("tail --json prints what the API sends", async () => {
    const args = ["--since", "0", "--limit", "2", "--json", "--type", "connect"];
    const { code, stdout } = await done("tail", "--url", url, ...args);
    assert.equal(code, 0);
    const events = stdout
      .trimEnd()
      .split("\n")
      .map((line) => JSON.parse(line));
    assert.deepEqual(
      events.map(({ seq }) => seq),
      [1, 2],
    );
  });

  test("tail ends quietly when its reader does", async () => {
    const main = new URL("../../src/cli/main.js", import.meta.url).pathname;
    const pipe = `"${process.execPath}" ${main} tail --url ${url} --since 0 | head -1`;
    const { stdout, stderr } = await start("sh", ["-c", pipe]).done;
    assert.equal(stdout.split("\n").length, 2);
    assert.equal(stderr, "");
  });

  test("findings tell what is wrong and what to do", async () => {
    const { code, stdout } = await done("findings", "--url", url);
    assert.equal(code, 0);
    assert.match(stdout, /^CRITICAL {2}local_port_exhaustion/m);
    assert.match(stdout, /connect\(\) failed 6 times with EADDRNOTAVAIL/);
    const remedy = `ip netns exec ${netns.name} sysctl -w `;
    assert.match(stdout, new RegExp(`${remedy}\\S*net\\.ipv4\\.ip_local_port_range=`));
    const none = await done("findings", "--url", url, "--kind", "udp_overshadowing");
    assert.equal(none.stdout, "no findings\n");
  });

  test("status is a table of probes, ports one of holders", async () => {
    const status = await done("status", "--url", url);
    assert.equal(status.code, 0);
    assert.match(status.stdout, /, ready$/m);
    assert.match(status.stdout, /^connect +\w+ +\d+ +\d+ +0 +0$/m);
    const json = await done("status", "--url", url, "--json");
    assert.equal(JSON.parse(json.stdout).ready.ok, true);
    const ports = await done("ports", "--url", url, "--protocol", "tcp");
    assert.equal(ports.code, 0);
    assert.match(ports.stdout, /in use by TCP \d+ of \d+/);
  });

  test("what the daemon refuses is told in its words", async () => {
    const { code, stderr } = await done("tail", "--url", url, "--port", "99999");
    assert.equal(code, 1);
    assert.match(stderr, /port: invalid value "99999", expected a whole number from 0 to 65535/);
  });

  test("wrong usage ends with 2, a daemon that is not there with 1", async () => {
    for (const args of [
      ["tail", "--typ", "connect"],
      ["tail", "--limit", "0"],
      ["findings", "--kind", "nope"],
      ["status", "--url", "ftp://host"],
      ["status", "--token-file", "/nonexistent"],
      ["completion", "tcsh"],
    ]) {
      const { code, stderr } = await done(...args);
      assert.equal(code, 2, args.join(" "));
      assert.notEqual(stderr, "");
    }
    const { code, stderr } = await done("status", "--url", "http://127.0.0.1:1");
    assert.equal(code, 1);
    assert.match(
      stderr,
      /cannot reach 127\.0\.0\.1:1: connection refused .* is the daemon running/,
    );
  });
});

test("a bearer token is sent, and the password of a URL is not shown", async () => {
  const directory = mkdtempSync(join(tmpdir(), "tw-token-"));
  const file = join(directory, "token");
  writeFileSync(file, "secret\n");
  const { stderr } = await done(
    "status",
    "--url",
    "http://me:hush@127.0.0.1:1",
    "--token-file",
    file,
  );
  assert.doesNotMatch(stderr, /hush|secret/);
  rmSync(directory, { recursive: true });
});

describe("tail", () => {
  const scope = suiteScope();
  let server: TestServer;
  before(async () => {
    server = await startServer(scope);
  });

  test("goes on where it was when the stream ends", async () => {
    const tail = tuplewatch(["tail", "--url", server.url, "--json", "--limit", "3"]);
    await until(() => server.hub.size === 1, "the stream is open");
    server.journal.append(connectBatch(2));
    await until(() => tail.stdout().split("\n").length === 3, "two events");
    server.servers.closeAllConnections();
    server.journal.append(connectBatch(2));
    const { code, stdout, stderr } = await tail.done;
    assert.equal(code, 0);
    const seqs = stdout
      .trimEnd()
      .split("\n")
      .map((line) => JSON.parse(line).seq);
    assert.deepEqual(seqs, [1, 2, 3]);
    assert.match(stderr, /connecting again/);
  });
});

test("each shell gets a completion of all commands", async () => {
  for (const shell of ["bash", "zsh", "fish"]) {
    const { code, stdout } = await done("completion", shell);
    assert.equal(code, 0);
    for (const word of ["run", "tail", "findings", "ports", "container"]) {
      assert.match(stdout, new RegExp(`\\b${word}\\b`));
    }
  }
  const script = `eval "$(cat)"; COMP_WORDS=(tuplewatch ta); COMP_CWORD=1; _tuplewatch; echo "$COMPREPLY"`;
  const { stdout } = await done("completion", "bash");
  const completed = await start("bash", ["-c", script], {}, stdout).done;
  assert.equal(completed.stdout, "tail\n");
});
