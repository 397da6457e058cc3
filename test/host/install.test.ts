import assert from "node:assert/strict";
import { execFileSync } from "node:child_process";
import { existsSync, mkdtempSync, readFileSync, rmSync, writeFileSync } from "node:fs";
import { tmpdir } from "node:os";
import { join } from "node:path";
import { after, describe, test } from "node:test";
import { start } from "../support/commands.ts";
import { until } from "../support/until.ts";

/** What systemd does with it is tested in a guest (test/systemd). */
describe("an installation", () => {
  // Only root can enter it, as /root: what the daemon needs later it has to open as root.
  const folder = mkdtempSync(join(tmpdir(), "tuplewatch-install-"));
  const lib = join(folder, "usr/lib/tuplewatch");
  after(() => rmSync(folder, { recursive: true }));

  const installer = (...args: string[]) =>
    execFileSync(
      process.execPath,
      ["tools/install-system.mjs", "--prefix", "/usr", "--destdir", folder, ...args],
      { encoding: "utf8" },
    );

  test("can be repeated, and keeps the settings", () => {
    const settings = join(folder, "etc/default/tuplewatch");
    installer();
    assert.match(readFileSync(settings, "utf8"), /^#TUPLEWATCH_PROBES=all$/m);
    writeFileSync(settings, "TUPLEWATCH_PROBES=connect\n");
    assert.match(installer(), /^installed \/usr\/lib\/tuplewatch/);
    assert.equal(readFileSync(settings, "utf8"), "TUPLEWATCH_PROBES=connect\n");
    const unit = readFileSync(join(folder, "usr/lib/systemd/system/tuplewatch.service"), "utf8");
    assert.doesNotMatch(unit, /@[A-Z]+@/);
    assert.ok(!existsSync(`${lib}.old`) && !existsSync(`${lib}.new`));
    for (const name of ["MIT", "GPL-2.0-only"]) {
      assert.ok(existsSync(join(lib, "LICENSES", `${name}.txt`)), name);
    }
    const [, page = ""] = /^Documentation=file:(.*)$/m.exec(unit) ?? [];
    assert.ok(existsSync(join(folder, page)), page);
  });

  test("has all that the daemon needs, also once it is another user", async () => {
    const args = [
      "build/src/cli/main.js",
      "run",
      "--listen",
      "127.0.0.1:0",
      "--log-format",
      "json",
    ];
    const { child, done, stderr } = start("sh", ["-c", `cd ${lib} && exec node ${args.join(" ")}`]);
    const address = () => /"address":"([^"]+)"/.exec(stderr())?.[1];
    await until(() => address() !== undefined || child.exitCode !== null, "serving", 60_000);
    for (const path of [
      "",
      "assets/uplot.js",
      "openapi.json",
      "status",
      "ports",
      "metrics",
      "findings",
    ]) {
      const response = await fetch(`${address()}/${path}`);
      assert.equal(response.status, 200, `${path}: ${stderr()}`);
      await response.arrayBuffer();
    }
    child.kill("SIGTERM");
    assert.equal((await done).code, 0, stderr());
  });

  test("is taken away but for the settings", () => {
    assert.match(installer("--uninstall"), /^uninstalled; \/etc\/default\/tuplewatch is left$/m);
    assert.ok(!existsSync(lib) && !existsSync(join(folder, "usr/bin/tuplewatch")));
    installer("--uninstall");
  });
});
