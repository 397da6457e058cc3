import assert from "node:assert/strict";
import { execFileSync } from "node:child_process";
import { after, before, describe, test } from "node:test";
import { setTimeout as sleep } from "node:timers/promises";
import { FINDING_KINDS } from "../../src/events/finding-kinds.ts";
import { SCENARIOS, type ScenarioName } from "../scenarios/catalog.ts";
import { play } from "../scenarios/play.ts";
import { type DaemonProcess, startDaemonProcess, stopDaemon } from "../support/commands.ts";
import { allRules } from "../support/dashboards.ts";
import { evaluateDashboards, type Shown } from "../support/evaluate.ts";
import { type RunningPrometheus, startPrometheus } from "../support/prometheus.ts";
import { until } from "../support/until.ts";

const SCRAPE_SECONDS = 4;
const RANGE_SECONDS = 3600;

/** The daemon, Prometheus and the scenarios share two emulated CPUs. */
const LIMIT = { timeoutMs: 600_000 };
const ALERT_LIMIT_MS = 60_000;

const EXPECTED = {
  A: "TuplewatchChallengeAckResets",
  B1: "TuplewatchNatInsertRace",
  D: "TuplewatchUdpOvershadowing",
  E: "TuplewatchStaleConntrackReuse",
  C1: "TuplewatchLocalPortExhaustion",
} as const satisfies Partial<Record<ScenarioName, string>>;

describe("Prometheus, beside incidents", () => {
  let daemon: DaemonProcess;
  let prometheus: RunningPrometheus;
  let shown: Shown[] = [];
  const startedMs = Date.now();

  before(async () => {
    execFileSync("modprobe", ["nf_conntrack"]);
    // However slow the guest is, no finding closes before the last was looked at.
    daemon = await startDaemonProcess(["--finding-quiet-seconds", "3600"], LIMIT);
    prometheus = await startPrometheus(daemon.url, SCRAPE_SECONDS, LIMIT);
    const isScraped = async () => {
      await sleep(SCRAPE_SECONDS * 1000);
      return (await prometheus.query("tuplewatch_build_info")).length > 0;
    };
    await until(isScraped, "the first scrape", ALERT_LIMIT_MS);
  });
  after(async () => {
    await prometheus.stop();
    await stopDaemon(daemon);
  });

  function values(panel: string): readonly (readonly number[])[] {
    const found = shown.find(({ name }) => name === panel);
    assert.ok(found, panel);
    return found.values;
  }

  /** The greatest value of a panel's first query. */
  const first = (panel: string) => Math.max(...(values(panel)[0] ?? []));

  test("no alert before anything happens", async () => {
    const firing = (await prometheus.alerts()).filter(({ state }) => state === "firing");
    assert.deepEqual(firing, []);
  });

  test("the scenarios run, and full ports are a pending alert while they are", async () => {
    for (const name of Object.keys(EXPECTED) as ScenarioName[]) {
      await play(SCENARIOS[name], async () => {
        if (name !== "C1") return;
        // It waits five minutes before it fires.
        await prometheus.untilAlert("TuplewatchLocalPortsHigh", "pending", ALERT_LIMIT_MS);
        shown = await evaluateDashboards(prometheus, SCRAPE_SECONDS, RANGE_SECONDS);
      });
    }
  });

  for (const [name, alert] of Object.entries(EXPECTED)) {
    test(`scenario ${name} fires ${alert}`, async () => {
      await prometheus.untilAlert(alert, "firing", ALERT_LIMIT_MS);
    });
  }

  test("no other alert fires, and all texts are whole", async () => {
    const firing = (await prometheus.alerts()).filter((alert) => alert.state === "firing");
    const names = firing.map(({ labels }) => labels.alertname);
    assert.deepEqual(names.sort(), Object.values(EXPECTED).toSorted());
    for (const { labels, annotations } of firing) {
      assert.doesNotMatch(JSON.stringify(annotations), /error|no value|\{\{/);
      assert.match(annotations.summary ?? "", /127\.0\.0\.1:\d+/);
      assert.ok(annotations.runbook_url?.endsWith(`/${labels.alertname}.md`));
    }
  });

  test("every rule can be evaluated", async () => {
    for (const { expr } of allRules()) await prometheus.query(expr);
  });

  test("every panel shows numbers, also over time", async () => {
    for (const { name, exprs, values } of shown) {
      assert.ok(values.flat().length > 0, name);
      assert.ok(values.flat().every(Number.isFinite), name);
      for (const expr of exprs) {
        for (const points of await prometheus.range(expr, 10)) assert.ok(points > 0, name);
      }
    }
  });

  test("the overview tells what it cost", () => {
    assert.ok(first("overview.json: Active findings") >= Object.keys(EXPECTED).length);
    assert.equal(first("overview.json: Resets"), 1);
    assert.ok(first("overview.json: Connects without a port") >= 800);
    assert.ok(first("overview.json: Packets refused") >= 1);
    assert.ok(first("overview.json: Delayed connects") >= 1);
    assert.ok(first("overview.json: Waited for a retry") >= 1);
    assert.equal(first("overview.json: Events lost"), 0);
    assert.equal(first("overview.json: Daemons"), 1);
    assert.equal(first("overview.json: Fullest port ranges"), 1);
  });

  test("the overview tells since when, and where", () => {
    const [active = [], opened = [], since = []] = values("overview.json: Kinds of findings");
    assert.equal(active.length, FINDING_KINDS.length);
    assert.equal(opened.length, FINDING_KINDS.length);
    // Ports that ran low may have been told, too, before there were none.
    const extra = since.length - Object.keys(EXPECTED).length;
    assert.ok(extra === 0 || extra === 1, `${since.length}`);
    for (const ms of since) assert.ok(startedMs <= ms && ms <= Date.now(), `${ms}`);
    for (const column of values("overview.json: Instances")) assert.equal(column.length, 1);
  });

  test("the signals' rows have what the scenarios made", () => {
    const portsFull = Math.max(...values("signals.json: Local ports in use").flat());
    assert.equal(portsFull, 1);
    const tableUse = values("signals.json: Conntrack table in use")[0] ?? [];
    assert.ok(tableUse.length > 0 && tableUse.every((use) => use < 0.8));
    assert.ok(Math.max(...values("signals.json: Attached backends").flat()) === 1);
    assert.equal(values("signals.json: Active findings by kind")[0]?.length, FINDING_KINDS.length);
  });
});
