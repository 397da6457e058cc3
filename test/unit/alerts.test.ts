import assert from "node:assert/strict";
import { readdirSync, readFileSync } from "node:fs";
import { join } from "node:path";
import { describe, it } from "node:test";
import { FINDING_KINDS } from "../../src/events/finding-kinds.ts";
import { allRules, RULES_FILE } from "../support/dashboards.ts";
import { promtool } from "../support/prometheus.ts";

const TESTS = "dashboards/alerts/tests";

const testFiles = readdirSync(TESTS).map((name) => join(TESTS, name));

describe("an alert rule", () => {
  it("is one that Prometheus reads", async () => {
    const { code, stdout, stderr } = await promtool(["check", "rules", "--lint-fatal", RULES_FILE]);
    assert.equal(code, 0, stdout + stderr);
    assert.match(stdout, new RegExp(`${allRules().length} rules found`));
  });

  it("does what its tests say", async () => {
    const { code, stdout, stderr } = await promtool(["test", "rules", ...testFiles]);
    assert.equal(code, 0, stdout + stderr);
  });

  it("is there for each kind of finding", () => {
    for (const kind of FINDING_KINDS) {
      const rules = allRules().filter(({ expr }) => expr.includes(`kind="${kind}"`));
      assert.equal(rules.length, 1, kind);
    }
  });

  // promtool does not ask whether a rule has a test.
  it("is expected to fire in one of its tests", () => {
    const text = testFiles.map((path) => readFileSync(path, "utf8")).join("\n");
    for (const { alert } of allRules()) {
      assert.match(text, new RegExp(`^ +- labels: .*alertname="${alert}"`, "m"));
    }
  });

  for (const { alert, annotations, labels, for: waits } of allRules()) {
    it(`${alert} has severity, texts and runbook`, () => {
      assert.match(labels.severity ?? "", /^(critical|warning)$/);
      assert.match(waits, /^\d+[sm]$/);
      assert.match(annotations.summary ?? "", /\{\{ \$labels\.instance \}\}/);
      assert.match(annotations.description ?? "", /\.$/);
      const url = `https://tuplewatch.example/runbooks/${alert}.md`;
      assert.equal(annotations.runbook_url, url);
    });
  }
});
