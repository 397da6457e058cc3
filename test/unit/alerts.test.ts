import assert from "node:assert/strict";
import { cpSync, mkdtempSync, readdirSync, rmSync, writeFileSync } from "node:fs";
import { tmpdir } from "node:os";
import { join } from "node:path";
import { after, describe, it } from "node:test";
import { stringify } from "yaml";
import { FINDING_KINDS } from "../../src/findings/finding.ts";
import { allRules, RULES_FILE, type Rule, readRules } from "../support/dashboards.ts";
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

describe("the tests of the alert rules", () => {
  const directory = mkdtempSync(join(tmpdir(), "alerts-"));
  after(() => rmSync(directory, { recursive: true }));
  cpSync(TESTS, join(directory, "tests"), { recursive: true });

  /** Runs them with one rule changed. */
  async function passWith(changed: string, change: (rule: Rule) => Rule): Promise<boolean> {
    const groups = readRules().groups.map(({ name, rules }) => ({
      name,
      rules: rules.map((rule) => (rule.alert === changed ? change(rule) : rule)),
    }));
    writeFileSync(join(directory, "tuplewatch.rules.yaml"), stringify({ groups }));
    const files = readdirSync(join(directory, "tests")).map((n) => join(directory, "tests", n));
    return (await promtool(["test", "rules", ...files])).code === 0;
  }

  it("pass with the rules read and written", async () => {
    assert.ok(await passWith("", (rule) => rule));
  });

  for (const { alert, expr, for: waits } of allRules()) {
    it(`see that ${alert} never fires, or always, or at once`, async () => {
      const never = { expr: `(${expr}) and vector(1) > 1` };
      assert.equal(await passWith(alert, (rule) => ({ ...rule, ...never })), false, "never");
      const always = expr.replace(/> [\d.]+$|== 0$/, ">= 0");
      if (always !== expr) {
        const changed = await passWith(alert, (rule) => ({ ...rule, expr: always }));
        assert.equal(changed, false, "always");
      }
      if (waits === "0s") return;
      assert.equal(await passWith(alert, (rule) => ({ ...rule, for: "0s" })), false, "at once");
    });
  }
});
