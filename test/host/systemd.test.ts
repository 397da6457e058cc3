import assert from "node:assert/strict";
import { mkdtempSync, rmSync } from "node:fs";
import { tmpdir } from "node:os";
import { join } from "node:path";
import { after, before, describe, test } from "node:test";
import { bindSocket, closeFd, openSocket, Posix, receive, unixAddress } from "libbpf-ts";
import { type DaemonProcess, startDaemonProcess, stopDaemon } from "../support/commands.ts";
import { until } from "../support/until.ts";

const WATCHDOG_MS = 400;

/** What a daemon tells a service manager: the socket is real, its reader is this test. */
describe("a daemon with a service manager", () => {
  const folder = mkdtempSync(join(tmpdir(), "tuplewatch-notify-"));
  const path = join(folder, "notify");
  const socket = openSocket(Posix.AF_UNIX, Posix.SOCK_DGRAM);
  const told: string[] = [];
  let daemon: DaemonProcess;

  function read(): string[] {
    const buffer = Buffer.alloc(4096);
    for (
      let length = receive(socket, buffer);
      length !== undefined;
      length = receive(socket, buffer)
    )
      told.push(buffer.toString("utf8", 0, length));
    return told;
  }
  const beats = () => read().filter((message) => message === "WATCHDOG=1").length;

  before(async () => {
    bindSocket(socket, unixAddress(path));
    const variables = [`NOTIFY_SOCKET=${path}`, `WATCHDOG_USEC=${WATCHDOG_MS * 1000}`];
    const args = ["--backend", "counters", "--user", "root"];
    daemon = await startDaemonProcess(args, { wrapper: ["env", ...variables] });
  });
  after(() => {
    closeFd(socket);
    rmSync(folder, { recursive: true });
  });

  test("says once that it is ready, and how it goes", async () => {
    await until(() => read().length > 0, "READY");
    assert.match(
      told[0] ?? "",
      /^READY=1\nSTATUS=serving on http:\S+: 0 of 5 probes attached; 0 events, 0 active findings$/,
    );
    assert.equal(told.filter((message) => message.includes("READY=1")).length, 1);
  });

  test("says that it lives, unless it hangs", async () => {
    await until(() => beats() >= 3, "three beats");
    daemon.child.kill("SIGSTOP");
    await new Promise((resolve) => setTimeout(resolve, WATCHDOG_MS));
    const before = beats();
    await new Promise((resolve) => setTimeout(resolve, 3 * WATCHDOG_MS));
    assert.equal(beats(), before);
    daemon.child.kill("SIGCONT");
    await until(() => beats() > before, "a beat");
  });

  test("says that it stops", async () => {
    await stopDaemon(daemon);
    assert.equal(read().filter((message) => message.startsWith("STOPPING=1\n")).length, 1);
  });
});
