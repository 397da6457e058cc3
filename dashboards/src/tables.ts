import type { DynamicConfigValue } from "@grafana/grafana-foundation-sdk/dashboard";
import { PromQueryFormat } from "@grafana/grafana-foundation-sdk/prometheus";
import { PanelBuilder as TablePanel } from "@grafana/grafana-foundation-sdk/table";
import { DATASOURCE, instantQuery, type Levels, refId, thresholds } from "./panels.ts";

export interface Column {
  readonly title: string;
  readonly expr: string;
  /** A unit of Grafana's. */
  readonly unit: string;
  readonly decimals?: number;
  /** Colours the cell. */
  readonly levels?: Levels;
}

export interface TableSpec {
  readonly title: string;
  readonly description: string;
  /** The label that all queries are summed by: one row for each of its values. */
  readonly by: string;
  readonly heading: string;
  /** Where a click on a row's heading leads. */
  readonly link?: { readonly title: string; readonly url: string };
  readonly columns: readonly Column[];
  readonly span: number;
  readonly height: number;
}

/** What holds now, or for the time range, a row for each value of a label. */
export function table(spec: TableSpec): TablePanel {
  const queries = spec.columns.map(({ expr, title }, index) =>
    instantQuery({ expr, legend: title }, index).format(PromQueryFormat.Table),
  );
  const panel = new TablePanel()
    .title(spec.title)
    .description(spec.description)
    .datasource(DATASOURCE)
    .span(spec.span)
    .height(spec.height)
    .targets(queries)
    .withTransformation({ id: "merge", options: {} })
    .withTransformation({ id: "organize", options: organize(spec) });
  for (const column of spec.columns) panel.overrideByName(column.title, properties(column));
  if (spec.link === undefined) return panel;
  return panel.overrideByName(spec.heading, [{ id: "links", value: [spec.link] }]);
}

/** Column names, in place of `Value #A`, `Value #B` ... */
function organize({ by, heading, columns }: TableSpec): object {
  const names = columns.map(({ title }, index) => [`Value #${refId(index)}`, title] as const);
  return {
    excludeByName: { Time: true },
    indexByName: Object.fromEntries([by, ...names.map(([name]) => name)].map((n, i) => [n, i])),
    renameByName: { [by]: heading, ...Object.fromEntries(names) },
  };
}

function properties({ unit, decimals, levels }: Column): DynamicConfigValue[] {
  const found: DynamicConfigValue[] = [
    { id: "unit", value: unit },
    { id: "decimals", value: decimals ?? 0 },
  ];
  if (levels === undefined) return found;
  return [
    ...found,
    { id: "thresholds", value: thresholds(levels).build() },
    { id: "custom.cellOptions", value: { type: "color-text" } },
  ];
}
