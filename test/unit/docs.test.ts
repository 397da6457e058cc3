import assert from "node:assert/strict";
import { readdirSync, readFileSync } from "node:fs";
import { describe, it } from "node:test";
import { SIGNAL_ROWS } from "../../dashboards/src/signals.ts";
import { PROBE_NAMES } from "../../src/config/options.ts";
import { optionTable } from "../../src/config/table.ts";
import { FINDING_KINDS } from "../../src/findings/finding.ts";
import { NEEDS } from "../../src/kernel/privileges.ts";
import { PROBES } from "../../src/probes/index.ts";
import { FILTER_NAMES } from "../../src/serve/filters.ts";
import { FINDING_QUERY } from "../../src/serve/finding-query.ts";
import { PROBE_SCENARIOS } from "../scenarios/catalog.ts";

const readme = readFileSync("README.md", "utf8");

describe("the README", () => {
  it("has the table of settings as the options define it", () => {
    const [, table] = /<!-- settings -->\n([\s\S]*?)<!-- \/settings -->/.exec(readme) ?? [];
    assert.equal(table, optionTable());
  });

  it("names every filter", () => {
    for (const filter of FILTER_NAMES) assert.ok(readme.includes(`\`${filter}\``), filter);
  });
});

describe("the README on privileges", () => {
  it("has each capability, and what it is for", () => {
    for (const { capability, toAttach = "", toRun = "" } of NEEDS) {
      assert.ok(readme.includes(`| \`${capability}\` | ${toAttach} | ${toRun} |\n`), capability);
    }
  });
});

describe("a kind of finding", () => {
  const tests = ["nat", "ports", "sockets"].map((name) =>
    readFileSync(`test/unit/finding-${name}.test.ts`, "utf8"),
  );
  for (const kind of FINDING_KINDS) {
    it(`${kind} has its file, documentation and tests`, () => {
      assert.ok(readdirSync("src/findings").includes(`${kind}.ts`));
      assert.match(readme, new RegExp(`^\\| \`${kind}\` \\| .+ \\| .+ \\|$`, "m"));
      assert.ok(tests.some((text) => text.includes(`describe("${kind}"`)));
    });
  }

  it("can be asked for by keys that the README names", () => {
    for (const key of Object.keys(FINDING_QUERY)) assert.ok(readme.includes(`\`${key}\``), key);
  });
});

describe("a probe", () => {
  for (const { name, backends } of PROBES) {
    it(`${name} has its program, settings, documentation, scenario, dashboard row and tests`, () => {
      assert.ok(PROBE_NAMES.includes(name as (typeof PROBE_NAMES)[number]));
      assert.ok(readdirSync("bpf").includes(`${name}.bpf.c`));
      assert.ok(readdirSync("test/real").includes(`${name}.test.ts`));
      assert.ok(readme.includes(`\`${name}\`:`), "event table");
      assert.ok(readme.includes(`tuplewatch_${name}_events_total`), "metric");
      assert.ok((PROBE_SCENARIOS[name] ?? []).length > 0, "scenario");
      const row = SIGNAL_ROWS.find((one) => one.name === name);
      assert.match(
        JSON.stringify(row?.panels),
        new RegExp(`tuplewatch_${name}_events_total`),
        "row",
      );
      assert.ok(row?.title.startsWith(`${name}: `), "title of the row");
      for (const backend of backends) {
        assert.match(readme, new RegExp(`^\\|[^|]*\\| \`${backend.name}\` \\|`, "m"));
      }
    });
  }
});
