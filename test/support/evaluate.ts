import { DASHBOARD_FILES, readPanels, substitute } from "./dashboards.ts";
import type { RunningPrometheus } from "./prometheus.ts";

/** What a panel shows, by `file: title`. */
export interface Shown {
  readonly name: string;
  readonly exprs: readonly string[];
  /** Values of each query, as numbers. */
  readonly values: readonly (readonly number[])[];
}

/** Evaluates every query of every dashboard, as Grafana would. Fails if one is wrong. */
export async function evaluateDashboards(
  prometheus: RunningPrometheus,
  scrapeSeconds: number,
  rangeSeconds: number,
): Promise<Shown[]> {
  const shown: Shown[] = [];
  for (const file of DASHBOARD_FILES) {
    for (const { title, targets = [] } of readPanels(file)) {
      const exprs = targets.map(({ expr }) => substitute(expr, scrapeSeconds, rangeSeconds));
      const values: number[][] = [];
      for (const expr of exprs) {
        values.push((await prometheus.query(expr)).map(({ value }) => Number(value[1])));
      }
      shown.push({ name: `${file}: ${title}`, exprs, values });
    }
  }
  return shown;
}
