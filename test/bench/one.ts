import { BENCHES } from "./benches.ts";

/** Started by run.ts, in a process of its own for each benchmark: sends its figures. */
const name = process.argv[2] ?? "";
process.send?.(await BENCHES[name]?.());
process.disconnect();
