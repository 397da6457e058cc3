import { access } from "./access.ts";
import { btf } from "./btf.ts";
import { cgroups } from "./cgroups.ts";
import { channel, questions } from "./channel.ts";
import { describers } from "./describers.ts";
import { findings } from "./findings.ts";
import { http } from "./http.ts";
import { queries } from "./queries.ts";
import { records } from "./records.ts";
import { settings } from "./settings.ts";
import type { FuzzTarget } from "./target.ts";

/** The one list of what is fuzzed: a new parser of foreign input is a new file and a line here. */
export const TARGETS: readonly FuzzTarget[] = [
  queries,
  http,
  access,
  settings,
  records,
  btf,
  describers,
  cgroups,
  findings,
  channel,
  questions,
];
