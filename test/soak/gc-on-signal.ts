import { setFlagsFromString } from "node:v8";
import { runInNewContext } from "node:vm";
import { isMainThread } from "node:worker_threads";

/**
 * Imported into a daemon before its own code: SIGUSR2 collects all garbage, so that what remains
 * resident is what is in use, and not what V8 has not yet cared to collect.
 */
if (isMainThread) {
  setFlagsFromString("--expose-gc");
  const collect = runInNewContext("gc") as () => void;
  process.on("SIGUSR2", () => {
    collect();
    collect();
  });
}
