import assert from "node:assert/strict";
import { mkdtempSync, rmSync, writeFileSync } from "node:fs";
import { tmpdir } from "node:os";
import { join } from "node:path";
import { after, describe, it } from "node:test";
import { hashSync } from "bcryptjs";
import { accessOf, startServer } from "../support/server.ts";

const directory = mkdtempSync(join(tmpdir(), "tuplewatch-logins-"));
after(() => rmSync(directory, { recursive: true }));

function accessWith(text: string) {
  const webConfig = join(directory, "web.yaml");
  writeFileSync(webConfig, text);
  return accessOf({ webConfig });
}

async function statusOf(url: string, password: string, user = "alice"): Promise<number> {
  const authorization = `Basic ${btoa(`${user}:${password}`)}`;
  const response = await fetch(url, { headers: { authorization } });
  await response.text();
  return response.status;
}

describe("passwords", () => {
  const access = accessWith(`basic_auth_users:\n  alice: ${hashSync("right", 10)}\n`);

  it("that are wrong, in a flood, do not delay those that are known to be right", async (t) => {
    const { url } = await startServer(t, undefined, { access });
    assert.equal(await statusOf(`${url}/metrics`, "right"), 200);
    const cpuBefore = process.cpuUsage();
    const flood = Array.from({ length: 300 }, (_, i) => statusOf(`${url}/metrics`, `wrong${i}`));
    for (let i = 0; i < 20; i++) assert.equal(await statusOf(`${url}/metrics`, "right"), 200);
    const answers = await Promise.all(flood);
    // Four of one address may wait; each takes some 60 ms and a rest.
    const checked = answers.filter((status) => status === 401).length;
    assert.equal(answers.filter((status) => status === 429).length, 300 - checked);
    assert.ok(checked >= 4 && checked < 300, `${checked}`);
    // All 300 would take some 18 s of a core.
    const { user } = process.cpuUsage(cpuBefore);
    assert.ok(user < 6e6, `${user} µs`);
  });

  it("are checked once for many who show the same", async (t) => {
    const { url } = await startServer(t, undefined, { access });
    const many = Array.from({ length: 50 }, () => statusOf(`${url}/healthz`, "right"));
    assert.deepEqual(new Set(await Promise.all(many)), new Set([200]));
    const wrong = Array.from({ length: 50 }, () => statusOf(`${url}/healthz`, "wrong"));
    assert.deepEqual(new Set(await Promise.all(wrong)), new Set([401]));
  });

  it("may have colons and letters of any language, and belong to one user", async (t) => {
    const text = `basic_auth_users:\n  a: ${hashSync("x:y", 4)}\n  b: ${hashSync("ü", 4)}\n`;
    const { url } = await startServer(t, undefined, { access: accessWith(text) });
    assert.equal(await statusOf(`${url}/metrics`, "x:y", "a"), 200);
    assert.equal(await statusOf(`${url}/metrics`, "x:y", "b"), 401);
    const authorization = `Basic ${Buffer.from("b:ü").toString("base64")}`;
    assert.equal((await fetch(`${url}/metrics`, { headers: { authorization } })).status, 200);
  });
});

describe("rate_limit", () => {
  it("lets a burst through, then one per interval", async (t) => {
    const access = accessWith("rate_limit:\n  interval: 1h\n  burst: 3\n");
    const { url } = await startServer(t, undefined, { access });
    const statuses: number[] = [];
    for (let i = 0; i < 5; i++) statuses.push((await fetch(`${url}/healthz`)).status);
    assert.deepEqual(statuses, [200, 200, 200, 429, 429]);
  });
});
