import { readFileSync } from "node:fs";
import { parse } from "yaml";

/** As much of Grafana's panels as tests look at. */
export interface Panel {
  readonly type: string;
  readonly title: string;
  readonly description?: string;
  readonly datasource?: { readonly type: string; readonly uid: string };
  readonly targets?: readonly Target[];
  readonly links?: readonly { readonly title: string; readonly url: string }[];
  readonly gridPos: {
    readonly h: number;
    readonly w: number;
    readonly x: number;
    readonly y: number;
  };
  readonly id: number;
}

export interface Target {
  readonly expr: string;
  readonly refId: string;
  readonly instant: boolean;
  readonly datasource?: { readonly uid: string };
}

export interface Rule {
  readonly alert: string;
  readonly expr: string;
  readonly for: string;
  readonly labels: Readonly<Record<string, string>>;
  readonly annotations: Readonly<Record<string, string>>;
}

interface RuleGroups {
  readonly groups: readonly { readonly name: string; readonly rules: readonly Rule[] }[];
}

export const RULES_FILE = "dashboards/alerts/tuplewatch.rules.yaml";

export const DASHBOARD_FILES = ["overview.json", "signals.json"] as const;

/** The panels of a committed dashboard, without its rows. */
export function readPanels(name: string): Panel[] {
  const { panels } = JSON.parse(readFileSync(`dashboards/grafana/${name}`, "utf8")) as {
    readonly panels: readonly Panel[];
  };
  return panels.filter(({ type }) => type !== "row");
}

export function allRules(): Rule[] {
  const { groups } = parse(readFileSync(RULES_FILE, "utf8")) as RuleGroups;
  return groups.flatMap(({ rules }) => rules);
}

/** What Grafana puts in the place of its variables, with a scrape every `scrapeSeconds`. */
export function substitute(expr: string, scrapeSeconds: number, rangeSeconds = 3600): string {
  return expr
    .replaceAll("$__rate_interval", `${4 * scrapeSeconds}s`)
    .replaceAll("$__range", `${rangeSeconds}s`)
    .replaceAll("$instance", ".*");
}
