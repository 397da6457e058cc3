// Writes openapi.json, or with --check fails if it is not what would be written.
import { readFileSync, writeFileSync } from "node:fs";
import { openApiDocument } from "./openapi.ts";
import { OPENAPI_FILE } from "./openapi-file.ts";

const text = `${JSON.stringify(openApiDocument(), null, 2)}\n`;
if (!process.argv.includes("--check")) {
  writeFileSync(OPENAPI_FILE, text);
} else if (readFileSync(OPENAPI_FILE, "utf8") !== text) {
  process.stderr.write("openapi.json is not up to date: run npm run gen\n");
  process.exitCode = 1;
}
