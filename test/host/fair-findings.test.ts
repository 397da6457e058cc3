import assert from "node:assert/strict";
import { execFileSync } from "node:child_process";
import { describe, test } from "node:test";
import { MAX_SHARE } from "../../src/findings/engine.ts";
import { getFindings, getStatus } from "../support/api.ts";
import { suiteDaemon } from "../support/commands.ts";
import type { Attempts } from "../support/connects.ts";
import { metric } from "../support/feed.ts";
import { FAULTS, Netns } from "../support/netns.ts";
import { until } from "../support/until.ts";

const NAMESPACES = 300;
const NOBODY = 65_534;

describe("a user with 300 network namespaces", () => {
  const daemon = suiteDaemon();

  test("does not push out another one's finding, nor fills the list", async (t) => {
    const netns = new Netns();
    netns.sysctl("net.ipv4.ip_local_port_range", "30000\t30005");
    netns.fault<Attempts>("connects.py", "exhausted", "12");
    const active = async () => getFindings(daemon.url, "state=active");
    const own = async () => (await active()).find(({ parties: [one] }) => one?.process?.uid === 0);
    await until(async () => (await own()) !== undefined, "the finding of root");
    const script = `${FAULTS}user_namespaces.py`;
    const told = execFileSync("python3", [script, String(NOBODY), String(NAMESPACES)]).toString();
    netns.delete();
    if (told.startsWith(`${NAMESPACES} unshare: `)) return t.skip("users may make no namespaces");
    assert.equal(told, `${NAMESPACES} EAGAIN\n`);
    const evicted = async () =>
      (await metric(daemon.url, "tuplewatch_findings_evicted_total")).get("");
    await until(async () => (await evicted()) === NAMESPACES - MAX_SHARE, "the last of them");
    const found = await active();
    const theirs = found.filter(({ parties: [one] }) => one?.process?.uid === NOBODY);
    assert.equal(theirs.length, MAX_SHARE);
    assert.equal((await own())?.severity, "critical");
    const { findings } = await getStatus(daemon.url);
    const { active: count, ...lost } = findings;
    assert.equal(count, found.length);
    assert.deepEqual(lost, { evicted: NAMESPACES - MAX_SHARE, refused: 0 });
  });
});
