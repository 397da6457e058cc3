import assert from "node:assert/strict";
import { test } from "node:test";
import { setTimeout as sleep } from "node:timers/promises";
import { Counter, Gauge, Histogram, Registry } from "prom-client";
import { metricsText } from "../../src/http/metrics-text.ts";
import { LabelHistogram } from "../../src/util/label-histogram.ts";

test("the text of metrics is that of prom-client", async () => {
  const registers = [new Registry()];
  const [registry] = registers as [Registry];
  const odd = new Counter({ name: "a", help: 'a\\"\n', labelNames: ["x", "y"], registers });
  odd.inc({ x: 'q"\\\n{},', y: "" }, 0.1);
  odd.inc({ y: "only" });
  new Counter({ name: "untouched", help: "b", registers });
  new Counter({ name: "no_series", help: "b", labelNames: ["x"], registers });
  const gauge = new Gauge({ name: "g", help: "g", labelNames: ["n"], registers });
  for (const n of [Number.NaN, Infinity, -Infinity, -0, 1e21, 5e-7]) gauge.set({ n }, n);
  const lazy = () => sleep(5);
  new Gauge({
    name: "late",
    help: "late",
    registers,
    async collect() {
      await lazy();
      this.set(7);
    },
  });
  const labels = { kind: { column: 0, text: String } };
  const own = { name: "h", help: "h", labels, column: 1, perUnit: 10, buckets: [0.5, 1] };
  new LabelHistogram(registry, own).add(Float64Array.of(3, 5, 3, 6, 4, 99), 3, 2);
  new Histogram({ name: "p", help: "p", buckets: [1], registers }).observe(2);
  assert.equal(await metricsText(registry), await registry.metrics());
});

/** Some 20,000 series, which prom-client formats in 200 ms. */
const SERIES = 20_000;
const PER_FAMILY = 200;

test("whoever has something to do gets its turn while the text is made, and the values stay", async () => {
  const registry = new Registry();
  const counters = Array.from({ length: SERIES / PER_FAMILY }, (_, family) => {
    const name = `family_${family}`;
    const counter = new Counter({ name, help: name, labelNames: ["n"], registers: [registry] });
    for (let n = 0; n < PER_FAMILY; n++) counter.inc({ n }, 1);
    return counter;
  });
  let turns = 0;
  let isDone = false;
  const tick = () => {
    turns++;
    for (const counter of counters) counter.inc({ n: 0 }, 1);
    if (!isDone) setImmediate(tick);
  };
  const text = metricsText(registry);
  await Promise.resolve();
  setImmediate(tick);
  const lines = (await text).split("\n").filter((line) => line.startsWith("family_"));
  isDone = true;
  assert.ok(turns >= 3, `${turns} turns`);
  assert.equal(lines.length, SERIES);
  assert.ok(lines.every((line) => line.endsWith(" 1")));
});
