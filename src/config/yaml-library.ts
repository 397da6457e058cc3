import { createRequire } from "node:module";

type Yaml = typeof import("yaml");

const require = createRequire(import.meta.url);

/** Loaded when the first file is read: most daemons read none, and it takes 3 MiB. */
export function yaml(): Yaml {
  return require("yaml") as Yaml;
}
