import assert from "node:assert/strict";
import { after, before, describe, it } from "node:test";
import { metricFamilies } from "../../docs/src/metric-families.ts";
import { suiteDaemon } from "../support/commands.ts";
import { allRules } from "../support/dashboards.ts";
import { evaluateDashboards, type Shown } from "../support/evaluate.ts";
import { promtool, type RunningPrometheus, startPrometheus } from "../support/prometheus.ts";
import { until } from "../support/until.ts";

const SCRAPE_SECONDS = 1;
const RANGE_SECONDS = 60;

describe("an idle daemon, scraped by Prometheus", () => {
  const daemon = suiteDaemon(["--program-stats", "on"]);
  let prometheus: RunningPrometheus;
  let shown: Shown[];

  before(async () => {
    prometheus = await startPrometheus(daemon.url, SCRAPE_SECONDS);
    const rates = `rate(tuplewatch_journal_appended_total[${4 * SCRAPE_SECONDS}s])`;
    await until(async () => (await prometheus.query(rates)).length > 0, "two scrapes", 20_000);
    shown = await evaluateDashboards(prometheus, SCRAPE_SECONDS, RANGE_SECONDS);
  });
  after(async () => {
    await prometheus.stop();
  });

  it("has something to show in every panel", () => {
    for (const { name, values } of shown) assert.ok(values.flat().length > 0, name);
  });

  it("has numbers only, and no share above 1", () => {
    for (const { name, exprs, values } of shown) {
      for (const value of values.flat()) {
        assert.ok(Number.isFinite(value) && value >= 0, `${name}: ${value} of ${exprs.join("; ")}`);
      }
    }
  });

  it("fires no alert, and every rule can be evaluated", async () => {
    for (const { expr, alert } of allRules()) {
      const samples = await prometheus.query(expr);
      // Not every kernel permits a backend for each probe.
      if (alert !== "TuplewatchProbeNotAttached") assert.deepEqual(samples, [], alert);
    }
    const firing = (await prometheus.alerts()).filter(({ state }) => state === "firing");
    assert.deepEqual(firing, []);
  });

  it("has the metrics that docs/reference/metrics.md lists, and promtool finds no fault with them", async () => {
    const text = await (await fetch(`${daemon.url}/metrics`)).text();
    const { code, stdout, stderr } = await promtool(["check", "metrics"], text);
    assert.equal(code, 0, stdout + stderr);
    const served = [...text.matchAll(/^# TYPE (\S+) (\S+)$/gm)].map(([, name, type]) => [
      name,
      type,
    ]);
    const listed = (await metricFamilies()).map(({ name, type }) => [name, type]);
    assert.deepEqual(served.sort(), listed.sort());
  });
});
