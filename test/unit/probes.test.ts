import assert from "node:assert/strict";
import { existsSync, readFileSync } from "node:fs";
import { describe, it } from "node:test";
import { SIGNAL_ROWS } from "../../dashboards/src/signals.ts";
import { PROBES } from "../../src/probes/probes.ts";
import { SCENARIOS, type Scenario } from "../scenarios/catalog.ts";

const metrics = readFileSync("docs/reference/metrics.md", "utf8");
const scenarios: readonly Scenario[] = Object.values(SCENARIOS);

/** The files in which something is missing; CONTRIBUTING.md says what each of them is for. */
function incomplete(name: string): string[] {
  const metric = `tuplewatch_${name}_events_total`;
  const row = SIGNAL_ROWS.find((one) => one.name === name);
  const hasRow = row?.title.startsWith(`${name}: `) && JSON.stringify(row.panels).includes(metric);
  const program = `bpf/${name}/${name}.bpf.c`;
  const test = `test/host/${name}.test.ts`;
  const files: Readonly<Record<string, boolean | undefined>> = {
    [program]: existsSync(program),
    [`src/probes/${name}.ts: no counter ${metric}`]: metrics.includes(`\`${metric}`),
    [`dashboards/src/rows/${name}.ts`]: hasRow,
    "test/scenarios/catalog.ts": scenarios.some(({ probe }) => probe === name),
    [test]: existsSync(test),
  };
  return Object.keys(files).filter((file) => files[file] !== true);
}

describe("a probe", () => {
  for (const { name } of PROBES) {
    it(`${name} has its program, metric, dashboard row, scenario and tests`, () => {
      assert.deepEqual(incomplete(name), []);
    });
  }

  it("that has nothing is told all that it lacks", () => {
    assert.equal(incomplete("no_such_probe").length, 5);
  });
});
