import assert from "node:assert/strict";
import { mkdtempSync, readFileSync, rmSync, writeFileSync } from "node:fs";
import { createRequire } from "node:module";
import { tmpdir } from "node:os";
import { join } from "node:path";
import { after, afterEach, before, beforeEach, describe, test } from "node:test";
import { hashSync } from "bcryptjs";
import { EVENT_TYPES } from "../../src/events/event-types.ts";
import { EVENT_SCHEMAS } from "../../src/events/events.schema.ts";
import type { FindingJson } from "../../src/findings/finding.ts";
import { getFindings, getStatus } from "../support/api.ts";
import { Browser, type Page } from "../support/browser.ts";
import { curl, startDaemonProcess, withoutReader } from "../support/commands.ts";
import { Netns } from "../support/netns.ts";
import { accessOf, ROOMY, startServer } from "../support/server.ts";
import { until } from "../support/until.ts";

const HOSTILE = "<img src=x>";

const { resolve } = createRequire(import.meta.url);

/** Gives the violations of WCAG 2.2, up to AA, and of what axe-core calls best practice. */
const AXE = `async () => {
  if (!window.axe) { ${readFileSync(resolve("axe-core/axe.min.js"), "utf8")}
  }
  const { violations } = await window.axe.run();
  return violations.map(({ id, nodes }) => [id, ...nodes.map(({ html }) => html)]);
}`;

/** What a screen reader is told. */
const RECORD_NEWS = `globalThis.said = [];
new MutationObserver(() => said.push(document.getElementById("news").textContent))
  .observe(document.getElementById("news"), { childList: true });`;

const IS_LIVE = `document.getElementById("connection")?.className === "live"`;

/** How often a connect() of the process appears in the list. */
function listed(comm: string): string {
  return `[...document.querySelectorAll("#events .who")]
    .filter(({ textContent }) => textContent.startsWith(${JSON.stringify(`${comm}[`)})).length`;
}

/** Chooses what the list shows, as a reader does. */
function show(value: string): string {
  return `{ const shown = document.getElementById("shown");
    shown.value = "${value}"; shown.dispatchEvent(new Event("change")); }`;
}

/** connects.py as a process of another name. */
function faultAs(netns: Netns, comm: string, ...args: string[]): void {
  const code = `import runpy, sys
open("/proc/self/comm", "w").write(${JSON.stringify(comm)})
sys.argv = ["connects.py", ${args.map((arg) => JSON.stringify(arg)).join(", ")}]
runpy.run_path("test/faults/connects.py", run_name="__main__")`;
  netns.exec("python3", "-c", code);
}

describe("the page", () => {
  /** The only one of a test's own namespace. */
  async function findingOf({ name }: Netns): Promise<FindingJson> {
    let found: FindingJson | undefined;
    await until(async () => {
      found = (await getFindings(daemon.url)).find(({ netns }) => netns?.name === name);
      return found !== undefined;
    }, "a finding");
    assert.ok(found);
    return found;
  }

  let browser: Browser;
  let daemon: Awaited<ReturnType<typeof startDaemonProcess>>;
  let page: Page;
  let netns: Netns;

  before(async () => {
    browser = new Browser();
    daemon = await startDaemonProcess();
    page = await browser.open();
    await page.resize({ width: 1200, height: 900 });
    await page.visit(`${daemon.url}/`);
    await page.waitFor(IS_LIVE, 30_000);
  });
  after(async () => {
    await browser.close();
    daemon.child.kill("SIGTERM");
    await daemon.done;
  });
  beforeEach(() => {
    netns = new Netns();
  });
  afterEach(() => netns.delete());

  test("listens to every type of event that there is", () => {
    assert.deepEqual([...EVENT_TYPES].sort(), Object.keys(EVENT_SCHEMAS).sort());
  });

  test("shows events within 2 s, counts them and names who did it as text", async () => {
    faultAs(netns, HOSTILE, "refused", "5");
    await page.waitFor(`${listed(HOSTILE)} === 5`, 2000);
    await page.waitFor(`document.querySelector("#rates figcaption")?.textContent`);
    assert.equal(await page.evaluate(`document.querySelectorAll("img, main svg").length`), 0);
  });

  test("turns no text around with characters that events bring along", async () => {
    faultAs(netns, "a\u202eb", "refused", "1");
    await page.waitFor(`${listed("a\ufffdb")} === 1`, 2000);
  });

  test("shows findings before all else, with commands to copy, and announces new ones", async () => {
    await page.evaluate(RECORD_NEWS);
    netns.sysctl("net.ipv4.ip_local_port_range", "30000\t30005");
    faultAs(netns, HOSTILE, "exhausted", "12");
    const { id } = await findingOf(netns);
    const card = `document.getElementById("title-${id}")?.parentElement`;
    await page.waitFor(card, 2000);
    // It may have changed since it was told.
    await page.waitFor(`${card}.textContent.includes("6 times")`, 3000);
    const finding = await findingOf(netns);
    const text = await page.evaluate<string>(`${card}.textContent`);
    const who = [`${HOSTILE}[`, "6 failures"];
    for (const part of [finding.summary, finding.severity, finding.kind, ...who]) {
      assert.ok(text.includes(part), part);
    }
    const commands = finding.remedies.flatMap((remedy) => remedy.commands);
    const shown = `[...${card}.querySelectorAll(".command code")].map((one) => one.textContent)`;
    assert.deepEqual(await page.evaluate(shown), commands);
    const button = `${card}.querySelector(".command button")`;
    await page.evaluate(`${button}.click()`);
    await page.waitFor(`["Copied", "Selected"].includes(${button}.textContent)`, 2000);
    const said = await page.evaluate<string[]>("said");
    const news = `New finding, ${finding.severity}: ${HOSTILE} (pid `;
    assert.ok(
      said.some((words) => words.startsWith(news)),
      said.join("\n"),
    );
    assert.equal(await page.evaluate(`document.querySelectorAll("img").length`), 0);
    assert.equal(await page.evaluate(`document.querySelector("main .card").tagName`), "ARTICLE");
  });

  test("shows the probes as /status has them", async () => {
    const { kernel } = await getStatus(daemon.url);
    const heads = `[...document.querySelectorAll("#probes tbody th")].map((one) => one.textContent)`;
    assert.deepEqual(
      await page.evaluate(heads),
      kernel?.probes.map(({ probe, backend }) =>
        backend === null ? `${probe} not attached` : `${probe} by ${backend}`,
      ),
    );
  });

  for (const width of [1200, 375, 320]) {
    for (const scheme of ["light", "dark"] as const) {
      test(`is accessible and as wide as the screen: ${width} px, ${scheme}`, async () => {
        await page.resize({ width, height: 800, scheme });
        const over = `document.documentElement.scrollWidth - document.documentElement.clientWidth`;
        await page.waitFor(`${over} === 0`, 2000);
        const ground = await page.evaluate<string>(
          "getComputedStyle(document.body).backgroundColor",
        );
        assert.equal(ground, scheme === "dark" ? "rgb(15, 19, 23)" : "rgb(244, 246, 248)");
        assert.deepEqual(await page.evaluate(`(${AXE})()`), []);
        await page.screenshot(`build/page/${width}-${scheme}.png`);
      });
    }
  }

  test("stops the list on request, and can show one type of event", async () => {
    await page.evaluate(`document.getElementById("pause").click()`);
    faultAs(netns, "while-paused", "refused", "3");
    await page.waitFor(`/\\([1-9]/.test(document.getElementById("pause").textContent)`, 5000);
    assert.equal(await page.evaluate(listed("while-paused")), 0);
    await page.evaluate(`document.getElementById("pause").click()`);
    await page.waitFor(`${listed("while-paused")} === 3`, 2000);
    await page.evaluate(show("finding"));
    const types = `[...document.querySelectorAll("#events .type")].map((one) => one.textContent)`;
    assert.ok((await page.evaluate<string[]>(types)).every((type) => type === "finding"));
    await page.evaluate(show("not_plain"));
  });

  test("tells of a gap", async () => {
    const small = await startDaemonProcess(["--ring-bytes", "4KiB", "--probes", "connect"]);
    try {
      const other = await browser.open();
      await other.visit(`${small.url}/`);
      await other.waitFor(IS_LIVE, 30_000);
      await withoutReader(small, () => netns.fault("connects.py", "refused", "200"));
      await other.evaluate(show("gap"));
      const gap = `document.querySelector("#events li .what")?.textContent`;
      await other.waitFor(gap);
      assert.match(
        await other.evaluate<string>(gap),
        /\d+ events missed {2}kernel_ring {2}connect/,
      );
      assert.deepEqual(other.complaints, []);
    } finally {
      small.child.kill("SIGTERM");
      await small.done;
    }
  });

  test("nothing that it did was refused or failed", () => {
    assert.deepEqual(page.complaints, []);
  });
});

describe("the page, when its daemon is restarted", () => {
  test("says so, comes back by itself and forgets what the earlier one told", async (t) => {
    const browser = new Browser();
    t.after(() => browser.close());
    const netns = new Netns();
    t.after(() => netns.delete());
    const first = await startDaemonProcess(["--probes", "connect"]);
    const page = await browser.open();
    await page.visit(`${first.url}/`);
    await page.waitFor(IS_LIVE, 30_000);
    faultAs(netns, "before", "refused", "2");
    await page.waitFor(`${listed("before")} === 2`, 2000);
    first.child.kill("SIGTERM");
    await first.done;
    await page.waitFor(`document.getElementById("connection")?.className === "broken"`, 5000);
    const { host } = new URL(first.url);
    const second = await startDaemonProcess(["--probes", "connect", "--listen", host]);
    t.after(async () => {
      second.child.kill("SIGTERM");
      await second.done;
    });
    await page.waitFor(IS_LIVE, 15_000);
    assert.equal(await page.evaluate(listed("before")), 0);
    faultAs(netns, "after", "refused", "2");
    await page.waitFor(`${listed("after")} === 2`, 2000);
  });
});

describe("the page behind a password", () => {
  test("works when the browser logs in", async (t) => {
    const folder = mkdtempSync(join(tmpdir(), "tuplewatch-page-"));
    t.after(() => rmSync(folder, { recursive: true }));
    const file = join(folder, "web.yaml");
    writeFileSync(file, `basic_auth_users:\n  alice: ${hashSync("right", 10)}\n`);
    const server = await startServer(t, ROOMY, { access: accessOf({ webConfig: file }) });
    const browser = new Browser();
    t.after(() => browser.close());
    const page = await browser.open();
    await page.logIn("alice", "right");
    await page.visit(`${server.url}/`);
    await page.waitFor(IS_LIVE, 30_000);
  });

  test("is not told to others, nor to those who come by another name", async (t) => {
    const { port } = await startServer(t);
    const named = await curl("--include", "-H", "Host: evil.example", `127.0.0.1:${port}/`).done;
    assert.match(named.stdout, /^HTTP\/1.1 403 /);
  });
});

describe("what the page is made of", () => {
  test("comes with a policy that lets nothing else run", async (t) => {
    const { url } = await startServer(t);
    const response = await fetch(`${url}/`);
    const html = await response.text();
    const policy = response.headers.get("content-security-policy") ?? "";
    assert.match(policy, /^default-src 'none'; script-src 'self'; style-src 'self'; /);
    assert.doesNotMatch(policy, /unsafe|http|\*/);
    assert.doesNotMatch(html, /<script(?![^>]* src=)|<style|style=| on[a-z]+=/);
    for (const [, path] of html.matchAll(/(?:src|href)="([^"#]+)"/g)) {
      // The stream would not end.
      if (path === "events") continue;
      const { status, headers } = await fetch(`${url}/${path}`);
      assert.equal(status, 200, path);
      assert.equal(headers.get("x-content-type-options"), "nosniff");
    }
  });
});
