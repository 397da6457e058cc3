import assert from "node:assert/strict";
import { mkdtempSync, readdirSync, readFileSync, rmSync } from "node:fs";
import { tmpdir } from "node:os";
import { join } from "node:path";
import { before, describe, it } from "node:test";
import { fileURLToPath } from "node:url";
import { type MetricFamily, metricFamilies } from "../../docs/src/metric-families.ts";
import { start } from "../support/commands.ts";
import {
  allRules,
  DASHBOARD_FILES,
  RULES_FILE,
  readPanels,
  substitute,
} from "../support/dashboards.ts";

const MAIN = fileURLToPath(new URL("../../dashboards/src/main.js", import.meta.url));
const MAX_TITLE = 40;

const panels = DASHBOARD_FILES.flatMap((file) =>
  readPanels(file).map((panel) => ({ file, panel, name: `${file}: ${panel.title}` })),
);

describe("what is generated", () => {
  it("is what the code says", async () => {
    const { code, stderr } = await start(process.execPath, [MAIN, "--check"]).done;
    assert.equal(code, 0, stderr);
  });

  it("can be written with another address of the runbooks", async (t) => {
    const out = mkdtempSync(join(tmpdir(), "dashboards-"));
    t.after(() => rmSync(out, { recursive: true }));
    const url = "https://wiki.example.org/tw/";
    const args = [MAIN, "--runbooks", url, "--out", out];
    assert.equal((await start(process.execPath, args).done).code, 0);
    const files = ["grafana/overview.json", "grafana/signals.json", "alerts/tuplewatch.rules.yaml"];
    for (const file of files) {
      const text = readFileSync(join(out, file), "utf8");
      assert.ok(
        text.includes("https://wiki.example.org/tw/TuplewatchDown.md") || !/Down/.test(file),
      );
      assert.ok(!text.includes("tuplewatch.example"), file);
    }
    const wrong = await start(process.execPath, [MAIN, "--runbooks", url]).done;
    assert.equal(wrong.code, 2);
    assert.match(wrong.stderr, /--runbooks and --out go together/);
  });
});

describe("a panel", () => {
  for (const { panel, name } of panels) {
    it(`${name}: has texts, a source that can be chosen, and queries of the chosen instances`, () => {
      assert.ok(panel.title.length <= MAX_TITLE);
      assert.match(panel.description ?? "", /^[A-Z`].*\.$/s);
      assert.equal(panel.datasource?.uid, "$datasource");
      assert.ok((panel.targets ?? []).length > 0);
      for (const { expr, datasource, refId } of panel.targets ?? []) {
        assert.match(refId, /^[A-H]$/);
        assert.equal(datasource?.uid, "$datasource");
        if (expr === "vector(0)") continue;
        for (const matchers of expr.matchAll(/tuplewatch_\w+(\{[^}]*\})?/g)) {
          assert.ok(matchers[1]?.includes('instance=~"$instance"'), expr);
        }
        for (const [, window] of expr.matchAll(/\[([^\]]+)\]/g)) {
          assert.match(window ?? "", /^\$__(rate_interval|range)$/);
        }
      }
    });

    it(`${name}: links to runbooks that there are`, () => {
      for (const { url } of panel.links ?? []) {
        const page = url.replace("https://tuplewatch.example/", "dashboards/");
        assert.ok(readFileSync(page, "utf8").length > 0);
      }
    });
  }

  it("has an id of its own, and overlaps no other", () => {
    for (const file of DASHBOARD_FILES) {
      const all = readPanels(file);
      assert.equal(new Set(all.map(({ id }) => id)).size, all.length);
      for (const { gridPos: one, id } of all) {
        assert.ok(one.x + one.w <= 24, `${file} ${id}`);
        const overlapping = all.filter(
          ({ gridPos: other, id: otherId }) =>
            otherId !== id &&
            one.x < other.x + other.w &&
            other.x < one.x + one.w &&
            one.y < other.y + other.h &&
            other.y < one.y + one.h,
        );
        assert.deepEqual(overlapping, []);
      }
    }
  });
});

describe("every metric of a dashboard or rule", () => {
  const families = new Map<string, MetricFamily>();
  before(async () => {
    for (const family of await metricFamilies()) families.set(family.name, family);
  });

  /** Prometheus' own. */
  const ANY_TARGET = ["instance", "job", "le"];

  function check(expr: string): void {
    for (const [, name = "", , matchers = ""] of expr.matchAll(
      /\b(tuplewatch_[a-z0-9_]+)\b(\{([^}]*)\})?/g,
    )) {
      const family = families.get(name) ?? families.get(name.replace(/_(bucket|sum|count)$/, ""));
      assert.ok(family, `${name} of ${expr}`);
      for (const [, label = "", operator, value = ""] of matchers.matchAll(
        /(\w+)(=~|!=|!~|=)"([^"]*)"/g,
      )) {
        assert.ok([...family.labels, ...ANY_TARGET].includes(label), `${label} of ${expr}`);
        if (ANY_TARGET.includes(label)) continue;
        const known = family.values.get(label) ?? new Set();
        const wanted = operator === "=~" || operator === "!~" ? value.split("|") : [value];
        if (known.size > 0) for (const one of wanted) assert.ok(known.has(one), `${one}: ${expr}`);
      }
    }
  }

  for (const { panel, name } of panels) {
    it(`exists with its labels and their values: ${name}`, () => {
      for (const { expr } of panel.targets ?? []) check(substitute(expr, 15));
    });
  }

  it(`exists with its labels and their values: ${RULES_FILE}`, () => {
    for (const { expr } of allRules()) check(expr);
  });

  it("is there before anything has happened, except for what a machine may not have", () => {
    const empty = [...families.values()]
      .filter(({ labels, values }) => labels.some((label) => values.get(label)?.size === 0))
      .map(({ name }) => name)
      .filter(
        (name) =>
          !/^tuplewatch_(conntrack_entries|kernel_conntrack|local_ports_(destination|exhausted))/.test(
            name,
          ),
      );
    assert.deepEqual(empty, [
      "tuplewatch_finding_active_since_timestamp_seconds",
      "tuplewatch_http_requests_total",
      "tuplewatch_program_missed_runs_total",
      "tuplewatch_program_run_seconds_total",
      "tuplewatch_program_runs_total",
    ]);
  });
});

describe("a runbook", () => {
  it("is there for each alert, and for no other", () => {
    const pages = readdirSync("dashboards/runbooks").sort();
    assert.deepEqual(
      pages,
      allRules()
        .map(({ alert }) => `${alert}.md`)
        .sort(),
    );
  });

  for (const page of readdirSync("dashboards/runbooks")) {
    it(`${page} tells what it means, how to confirm it and what to do`, () => {
      const text = readFileSync(`dashboards/runbooks/${page}`, "utf8");
      assert.ok(text.startsWith(`# ${page.replace(".md", "")}\n`));
      for (const heading of ["What it means", "How to confirm", "What to do"]) {
        assert.match(text, new RegExp(`^## ${heading}\\n\\n\\S`, "m"));
      }
      assert.match(text, /^ {4}(curl|tuplewatch) /m);
    });
  }
});
