import assert from "node:assert/strict";
import { mkdtempSync, rmSync, writeFileSync } from "node:fs";
import { tmpdir } from "node:os";
import { join } from "node:path";
import { after, describe, it } from "node:test";
import { setTimeout as sleep } from "node:timers/promises";
import { getStatus } from "../../support/api.ts";
import {
  type DaemonProcess,
  pidsOf,
  startDaemonProcess,
  stopDaemon,
  tuplewatch,
} from "../../support/commands.ts";
import { until } from "../../support/until.ts";

const DIRECTORY = mkdtempSync(join(tmpdir(), "tuplewatch-signals-"));

const FIRST = "the-first-of-two-tokens";
const SECOND = "the-second-of-two-tokens";

type Line = Readonly<Record<string, unknown>>;

function linesOf(daemon: DaemonProcess, message: string): Line[] {
  const lines = daemon
    .stderr()
    .split("\n")
    .filter((line) => line.includes(`"msg":"${message}"`));
  return lines.map((line) => JSON.parse(line) as Line);
}

async function hangUp(daemon: DaemonProcess, expected: string): Promise<Line> {
  const before = linesOf(daemon, expected).length;
  daemon.child.kill("SIGHUP");
  await until(() => linesOf(daemon, expected).length > before, expected);
  return linesOf(daemon, expected).at(-1) as Line;
}

describe("SIGHUP", () => {
  after(() => rmSync(DIRECTORY, { recursive: true }));

  it("takes over what can change, and names what cannot", async () => {
    const file = join(DIRECTORY, "settings.yaml");
    const write = (settings: object) =>
      writeFileSync(file, JSON.stringify(settings), { mode: 0o644 });
    write({ log_level: "info" });
    const daemon = await startDaemonProcess(["--config", file, "--journal-bytes", "8MiB"]);
    assert.deepEqual((await hangUp(daemon, "settings were read again")).changed, []);

    write({ log_level: "debug", journal_events: 7, journal_bytes: "9MiB", ring_bytes: "2MiB" });
    const { changed } = await hangUp(daemon, "settings were read again");
    assert.deepEqual(changed, ["--journal-events", "--log-level"]);
    assert.deepEqual(linesOf(daemon, "a restart is needed").at(-1)?.settings, ["--ring-bytes"]);
    const { journal } = await getStatus(daemon.url);
    assert.ok(journal.events <= 7);
    await until(() => linesOf(daemon, "request").length > 0, "a line at debug level");

    write({ log_level: "loud", journal_events: 9 });
    const { problems } = await hangUp(daemon, "settings stay as they were");
    assert.match(String(problems), /settings\.yaml:1: log_level: invalid value "loud"/);
    rmSync(file);
    const gone = await hangUp(daemon, "settings stay as they were");
    assert.match(
      String(gone.problems),
      /settings\.yaml: cannot read the configuration file: .*\(ENOENT\)/,
    );
    await getStatus(daemon.url);
    await stopDaemon(daemon);
  });

  it("reads changed certificates and tokens at once, and goes on with the old when they vanish", async () => {
    const tokens = join(DIRECTORY, "tokens");
    writeFileSync(tokens, `${FIRST}\n`, { mode: 0o644 });
    const daemon = await startDaemonProcess(["--bearer-token-file", tokens]);
    const ask = async (token: string) => {
      const headers = { authorization: `Bearer ${token}` };
      return (await fetch(`${daemon.url}/status`, { headers })).status;
    };
    assert.deepEqual([await ask(FIRST), await ask(SECOND)], [200, 401]);
    writeFileSync(tokens, `${SECOND}\n`);
    await hangUp(daemon, "settings were read again");
    assert.deepEqual([await ask(FIRST), await ask(SECOND)], [401, 200]);
    rmSync(tokens);
    await hangUp(daemon, "access rules stay as they were");
    assert.deepEqual([await ask(FIRST), await ask(SECOND)], [401, 200]);
    await stopDaemon(daemon);
  });
});

describe("every other signal that has a meaning elsewhere", () => {
  it("leaves the daemon as it is", async () => {
    const daemon = await startDaemonProcess();
    for (const signal of [
      "SIGUSR1",
      "SIGUSR2",
      "SIGALRM",
      "SIGPIPE",
      "SIGCHLD",
      "SIGWINCH",
      "SIGCONT",
      "SIGURG",
    ] as const) {
      for (const pid of pidsOf(daemon)) process.kill(pid, signal);
      await sleep(20);
      await getStatus(daemon.url);
    }
    for (const pid of pidsOf(daemon)) {
      process.kill(pid, "SIGSTOP");
      await sleep(200);
      process.kill(pid, "SIGCONT");
      await getStatus(daemon.url);
    }
    await stopDaemon(daemon);
  });
});

/** Milliseconds after the start: before Node runs, while programs load, and when it serves. */
const MOMENTS_MS = [0, 20, 50, 100, 200, 300, 400, 500, 700, 900, 1200, 1600, 2000, 2600, 3200];

describe("SIGTERM", () => {
  for (const signal of ["SIGTERM", "SIGINT"] as const) {
    it(`(${signal}) ends the daemon at any moment of its start`, async () => {
      for (const moment of MOMENTS_MS) {
        const { child, done } = tuplewatch([
          "run",
          "--listen",
          "127.0.0.1:0",
          "--log-format",
          "json",
        ]);
        await sleep(moment);
        child.kill(signal);
        const { code, signal: by, stderr } = await done;
        // Before its first line Node has the usual answer to a signal; nothing is attached by then.
        const early = by === signal && stderr === "";
        assert.ok(early || code === 0, `after ${moment} ms: ${code} ${by} ${stderr}`);
      }
    });
  }
});
