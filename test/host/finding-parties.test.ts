import assert from "node:assert/strict";
import { mkdtempSync, rmSync, symlinkSync } from "node:fs";
import { tmpdir } from "node:os";
import { join } from "node:path";
import { describe, test } from "node:test";
import type { FindingJson } from "../../src/findings/finding.ts";
import { getFindings } from "../support/api.ts";
import { suiteDaemon } from "../support/commands.ts";
import type { Attempts } from "../support/connects.ts";
import { FAULTS, Netns } from "../support/netns.ts";
import { until } from "../support/until.ts";

const SCRIPT = `${FAULTS}connects.py`;

describe("the parties of a finding", () => {
  const daemon = suiteDaemon();

  test("are programs: three processes of one are one, another program is another", async () => {
    const netns = new Netns();
    const directory = mkdtempSync(join(tmpdir(), "tuplewatch-"));
    const run = (program: string) =>
      JSON.parse(netns.exec(program, SCRIPT, "exhausted", "12")) as Attempts;
    const failed = async () => {
      const found = (await getFindings(daemon.url)).filter(isIn(netns));
      return found.flatMap(({ parties }) => parties.filter(({ role }) => role === "failed"));
    };
    try {
      netns.sysctl("net.ipv4.ip_local_port_range", "30000\t30005");
      const python = netns.exec("python3", "-c", "import sys; print(sys.executable)").trim();
      const crawler = join(directory, "crawler");
      symlinkSync(python, crawler);
      const [first] = [run("python3"), run("python3"), run("python3")];
      const other = run(crawler);
      const failures = async () =>
        (await failed()).reduce((sum, { failures = 0 }) => sum + failures, 0);
      await until(async () => (await failures()) === 24, "the last of them");
      assert.deepEqual(
        (await failed()).map(({ process, processes, failures }) => [
          process?.comm,
          process?.pid,
          processes,
          failures,
        ]),
        [
          ["python3", first?.pid, 3, 18],
          ["crawler", other.pid, undefined, 6],
        ],
      );
      const [finding] = (await getFindings(daemon.url)).filter(isIn(netns));
      assert.match(finding?.summary ?? "", /^python3 \(3 processes\) and others found no free/);
      assert.equal(finding?.consequence.failed_connects, 24);
    } finally {
      netns.delete();
      rmSync(directory, { recursive: true });
    }
  });
});

function isIn({ name }: Netns) {
  return ({ netns }: FindingJson) => netns?.name === name;
}
