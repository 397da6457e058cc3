import type { Builder } from "@grafana/grafana-foundation-sdk/cog";
import type { Panel } from "@grafana/grafana-foundation-sdk/dashboard";

/** One row of a dashboard: a signal, or something else that belongs together. */
export interface Row {
  /** The probe's name, where it is one. */
  readonly name: string;
  readonly title: string;
  readonly panels: readonly Builder<Panel>[];
}
