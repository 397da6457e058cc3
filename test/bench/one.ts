import { BENCHES, type BenchOptions } from "./benches.ts";

/** Started by run.ts, in a process of its own for each benchmark: sends its report. */
const [, , name = "", options = "{}"] = process.argv;
process.send?.(await BENCHES[name]?.(JSON.parse(options) as BenchOptions));
process.disconnect();
