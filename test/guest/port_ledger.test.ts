import assert from "node:assert/strict";
import { after, before, describe, test } from "node:test";
import { getPorts } from "../support/api.ts";
import { suiteDaemon } from "../support/commands.ts";
import { Netns } from "../support/netns.ts";

/** What test/faults/port_openers.py prints. */
interface Opened {
  readonly pids: Readonly<Record<string, readonly number[]>>;
}

const OPENED = { connecting: 6, binding: 4, fixed: 3 };

describe("the ledger of who opened local ports, by the best backends of this kernel", () => {
  const daemon = suiteDaemon();
  const netns = new Netns();
  let held: Awaited<ReturnType<typeof netns.faultHeld<Opened>>>;

  before(async () => {
    netns.sysctl("net.ipv4.ip_local_port_range", "20000 20999");
    const args = Object.entries(OPENED).map(([kind, count]) => `${kind}=${count}`);
    held = await netns.faultHeld<Opened>("port_openers.py", ...args);
  });
  after(async () => {
    await held.end();
    netns.delete();
  });

  // A namespace gets its cookie when somebody asks for it, before 5.15: some openers came earlier.
  test("names those that have ended, also before the namespace had a cookie", async () => {
    const report = await getPorts(daemon.url, `netns=${netns.name}`);
    const holders = report.network_namespaces[0]?.holders ?? [];
    const known = holders.map(({ process, ports }) => [process?.comm ?? "", ports] as const);
    assert.deepEqual(
      known.toSorted(([one], [other]) => one.localeCompare(other)),
      Object.entries(OPENED).toSorted(([one], [other]) => one.localeCompare(other)),
    );
    for (const { process } of holders) {
      assert.ok(process && held.made.pids[process.comm]?.includes(process.pid));
    }
  });
});
