// guest-tests.js FILE...: runs test files one after the other in this process. With a process for
// each, an emulated machine would read the modules that they share as many times.
import { test } from "node:test";
import { pathToFileURL } from "node:url";

let isLoaded = () => {};
const loaded = new Promise<void>((resolve) => {
  isLoaded = resolve;
});
let failure: unknown;

// The first of all: no test begins while files are still being read, and one that cannot be read
// fails the run.
test("the test files are loaded", async () => {
  await loaded;
  if (failure !== undefined) throw failure;
});
try {
  for (const file of process.argv.slice(2)) await import(pathToFileURL(file).href);
} catch (error) {
  failure = error;
  // With a name pattern, the test above is left out.
  process.exitCode = 1;
}
isLoaded();
