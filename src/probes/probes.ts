import { PROBE_NAMES } from "../config/options.ts";
import * as listed from "./index.ts";
import type { Probe } from "./probe.ts";

/** All probes. @throws RangeError if one of PROBE_NAMES is not in index.ts. */
export const PROBES: readonly Probe[] = PROBE_NAMES.map((wanted) => {
  const probe = Object.values(listed).find(({ name }) => name === wanted);
  if (probe === undefined) throw new RangeError(`src/probes/index.ts does not list ${wanted}`);
  return probe;
});
