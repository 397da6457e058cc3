import { overview } from "./overview.ts";
import { signals } from "./signals.ts";

/** The dashboards by file name. */
export function dashboards(): Map<string, object> {
  return new Map([
    ["overview.json", overview()],
    ["signals.json", signals()],
  ]);
}
