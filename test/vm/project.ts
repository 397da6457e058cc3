import { fileURLToPath } from "node:url";

/** The working tree's root, seen from build/test/vm. */
export const PROJECT_DIRECTORY = fileURLToPath(new URL("../../..", import.meta.url)).replace(
  /\/$/,
  "",
);
