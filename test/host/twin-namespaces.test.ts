import assert from "node:assert/strict";
import { describe, test } from "node:test";
import { getFindings } from "../support/api.ts";
import { suiteDaemon } from "../support/commands.ts";
import type { Attempts } from "../support/connects.ts";
import { Netns } from "../support/netns.ts";
import { until } from "../support/until.ts";

/** An even number: of an odd one __inet_hash_connect() leaves a port out, as its offset falls. */
const SIX_PORTS = "30000\t30005";

describe("two namespaces with the same addresses and ports", () => {
  const daemon = suiteDaemon();

  test("are two findings, and no evidence is in both", async () => {
    const twins = [new Netns(), new Netns()];
    for (const netns of twins) {
      netns.sysctl("net.ipv4.ip_local_port_range", SIX_PORTS);
      netns.fault<Attempts>("connects.py", "exhausted", "12");
    }
    for (const netns of twins) netns.delete();
    const found = () => getFindings(daemon.url, "state=all");
    await until(async () => (await found()).length === 2, "both");
    const [one, other] = await found();
    assert.notEqual(one?.netns?.cookie, other?.netns?.cookie);
    assert.deepEqual([one?.count, other?.count], [6, 6]);
    const shared = one?.evidence.filter((seq) => other?.evidence.includes(seq));
    assert.deepEqual(shared, []);
    assert.deepEqual(one?.tuples, other?.tuples);
  });
});
