import {
  DashboardBuilder,
  DashboardCursorSync,
  DashboardLinkBuilder,
  DashboardLinkType,
  DatasourceVariableBuilder,
  QueryVariableBuilder,
  RowBuilder,
  VariableRefresh,
  VariableSort,
} from "@grafana/grafana-foundation-sdk/dashboard";
import { DATASOURCE } from "./panels.ts";
import type { Row } from "./rows/row.ts";

export interface DashboardText {
  /** Of the file too. */
  readonly uid: string;
  readonly title: string;
  readonly description: string;
}

const TAG = "tuplewatch";

/** A dashboard of these rows, with the variables that all queries use. */
export function dashboard(text: DashboardText, rows: readonly Row[]): object {
  const builder = new DashboardBuilder(text.title)
    .uid(text.uid)
    .description(text.description)
    .tags([TAG])
    .time({ from: "now-1h", to: "now" })
    .refresh("30s")
    .tooltip(DashboardCursorSync.Crosshair)
    .withVariable(
      new DatasourceVariableBuilder("datasource").label("Data source").type("prometheus"),
    )
    .withVariable(instances())
    .link(
      new DashboardLinkBuilder("tuplewatch")
        .type(DashboardLinkType.Dashboards)
        .tags([TAG])
        .includeVars(true)
        .keepTime(true),
    );
  for (const { title, panels } of rows) {
    builder.withRow(new RowBuilder(title));
    for (const panel of panels) builder.withPanel(panel);
  }
  const { panels = [], ...rest } = builder.build();
  return { ...rest, panels: panels.map((panel, index) => ({ ...panel, id: index + 1 })) };
}

function instances(): QueryVariableBuilder {
  return new QueryVariableBuilder("instance")
    .label("Instance")
    .datasource(DATASOURCE)
    .query({ query: "label_values(tuplewatch_build_info, instance)", refId: "instance" })
    .multi(true)
    .includeAll(true)
    .allValue(".*")
    .current({ selected: true, text: ["All"], value: ["$__all"] })
    .refresh(VariableRefresh.OnTimeRangeChanged)
    .sort(VariableSort.AlphabeticalAsc);
}
