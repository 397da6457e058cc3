import {
  BigValueColorMode,
  BigValueGraphMode,
  GraphThresholdsStyleConfigBuilder,
  GraphThresholdsStyleMode,
  LegendDisplayMode,
  LegendPlacement,
  ReduceDataOptionsBuilder,
  SortOrder,
  TooltipDisplayMode,
  VizLegendOptionsBuilder,
  VizTooltipOptionsBuilder,
} from "@grafana/grafana-foundation-sdk/common";
import {
  DashboardLinkBuilder,
  DashboardLinkType,
  FieldColorBuilder,
  FieldColorModeId,
  ThresholdsConfigBuilder,
  ThresholdsMode,
} from "@grafana/grafana-foundation-sdk/dashboard";
import { DataqueryBuilder } from "@grafana/grafana-foundation-sdk/prometheus";
import { PanelBuilder as StatPanel } from "@grafana/grafana-foundation-sdk/stat";
import { PanelBuilder as TimelinePanel } from "@grafana/grafana-foundation-sdk/statetimeline";
import { PanelBuilder as GraphPanel } from "@grafana/grafana-foundation-sdk/timeseries";

/** Grafana's names of units. */
export const UNIT = {
  number: "short",
  seconds: "s",
  bytes: "bytes",
  ratio: "percentunit",
  perSecond: "cps",
  /** For what is rare: one event in five minutes is 0.2 a minute, but 0.0033 a second. */
  perMinute: "cpm",
} as const;

export type Unit = (typeof UNIT)[keyof typeof UNIT];

export const DATASOURCE = { type: "prometheus", uid: "$datasource" } as const;

/** The matcher that every query has: the instances chosen at the top of the dashboard. */
export const CHOSEN = 'instance=~"$instance"';

const BY_SERIES = new FieldColorBuilder().mode(FieldColorModeId.PaletteClassic);
const BY_LEVEL = new FieldColorBuilder().mode(FieldColorModeId.Thresholds);

const FULL_WIDTH = 24;
const GRAPH_HEIGHT = 8;
const STAT_HEIGHT = 4;

export interface Query {
  readonly expr: string;
  /** In Grafana's form, such as `{{instance}}`. */
  readonly legend: string;
}

export interface PanelText {
  readonly title: string;
  /** What the number is, and what a high one means. */
  readonly description: string;
  readonly unit: Unit;
  /** Alert whose runbook explains it. */
  readonly runbook?: string;
}

/** Thresholds: green, from `warning` on orange, from `critical` on red; grey below `good`. */
export interface Levels {
  readonly good?: number;
  readonly warning?: number;
  readonly critical?: number;
}

export interface GraphSpec extends PanelText {
  readonly queries: readonly Query[];
  /** Panels in its row, for its width. */
  readonly perRow: number;
  readonly levels?: Levels;
  readonly max?: number;
}

/** Where the runbooks are served; see dashboards/README.md. */
export const RUNBOOKS = "https://tuplewatch.example/runbooks";

export function runbookUrl(alert: string): string {
  return `${RUNBOOKS}/${alert}.md`;
}

export function runbookLinks(alert: string | undefined): DashboardLinkBuilder[] {
  if (alert === undefined) return [];
  const link = new DashboardLinkBuilder(`Runbook: ${alert}`)
    .type(DashboardLinkType.Link)
    .url(runbookUrl(alert))
    .targetBlank(true);
  return [link];
}

export function thresholds({ good, warning, critical }: Levels = {}): ThresholdsConfigBuilder {
  const lowest = good === undefined ? "green" : "#808080";
  const steps: { value: number | null; color: string }[] = [{ value: null, color: lowest }];
  if (good !== undefined) steps.push({ value: good, color: "green" });
  if (warning !== undefined) steps.push({ value: warning, color: "orange" });
  if (critical !== undefined) steps.push({ value: critical, color: "red" });
  return new ThresholdsConfigBuilder().mode(ThresholdsMode.Absolute).steps(steps);
}

/** `refId`s are letters in the order of the queries. */
export function refId(index: number): string {
  return String.fromCharCode("A".charCodeAt(0) + index);
}

export function rangeQuery({ expr, legend }: Query, index: number): DataqueryBuilder {
  return new DataqueryBuilder()
    .refId(refId(index))
    .datasource(DATASOURCE)
    .expr(expr)
    .legendFormat(legend)
    .range();
}

export function instantQuery({ expr, legend }: Query, index: number): DataqueryBuilder {
  return new DataqueryBuilder()
    .refId(refId(index))
    .datasource(DATASOURCE)
    .expr(expr)
    .legendFormat(legend)
    .instant();
}

/** Lines over time. */
export function graph(spec: GraphSpec): GraphPanel {
  const panel = new GraphPanel()
    .title(spec.title)
    .description(spec.description)
    .datasource(DATASOURCE)
    .unit(spec.unit)
    .min(0)
    .span(FULL_WIDTH / spec.perRow)
    .height(GRAPH_HEIGHT)
    .colorScheme(BY_SERIES)
    .fillOpacity(10)
    .lineWidth(1)
    .legend(
      new VizLegendOptionsBuilder()
        .showLegend(true)
        .displayMode(LegendDisplayMode.List)
        .placement(LegendPlacement.Bottom),
    )
    .tooltip(
      new VizTooltipOptionsBuilder().mode(TooltipDisplayMode.Multi).sort(SortOrder.Descending),
    )
    .targets(spec.queries.map(rangeQuery))
    .links(runbookLinks(spec.runbook));
  if (spec.max !== undefined) panel.max(spec.max);
  if (spec.levels === undefined) return panel;
  return panel
    .thresholds(thresholds(spec.levels))
    .thresholdsStyle(new GraphThresholdsStyleConfigBuilder().mode(GraphThresholdsStyleMode.Dashed));
}

export interface StatSpec extends PanelText {
  readonly expr: string;
  readonly span: number;
  readonly levels?: Levels;
}

/** One number, of the whole time range or of now. */
export function stat(spec: StatSpec): StatPanel {
  return new StatPanel()
    .title(spec.title)
    .description(spec.description)
    .datasource(DATASOURCE)
    .unit(spec.unit)
    .decimals(0)
    .span(spec.span)
    .height(STAT_HEIGHT)
    .colorMode(spec.levels === undefined ? BigValueColorMode.None : BigValueColorMode.Value)
    .colorScheme(BY_LEVEL)
    .graphMode(BigValueGraphMode.None)
    .reduceOptions(new ReduceDataOptionsBuilder().calcs(["lastNotNull"]).values(false))
    .thresholds(thresholds(spec.levels))
    .targets([instantQuery({ expr: spec.expr, legend: spec.title }, 0)])
    .links(runbookLinks(spec.runbook));
}

export interface TimelineSpec extends PanelText {
  readonly queries: readonly Query[];
  readonly perRow: number;
  readonly levels: Levels;
}

/** A bar for each series, coloured where it is above the levels. */
export function timeline(spec: TimelineSpec): TimelinePanel {
  return new TimelinePanel()
    .title(spec.title)
    .description(spec.description)
    .datasource(DATASOURCE)
    .unit(spec.unit)
    .span(FULL_WIDTH / spec.perRow)
    .height(GRAPH_HEIGHT)
    .colorScheme(BY_LEVEL)
    .mergeValues(true)
    .legend(new VizLegendOptionsBuilder().showLegend(false))
    .thresholds(thresholds(spec.levels))
    .targets(spec.queries.map(rangeQuery))
    .links(runbookLinks(spec.runbook));
}
