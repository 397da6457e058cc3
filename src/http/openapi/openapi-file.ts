import { readFileSync } from "node:fs";

/** In the package's folder, three levels above the compiled file. */
export const OPENAPI_FILE = new URL("../../../../openapi.json", import.meta.url);

/**
 * The generated description of the interface (`npm run gen`): making it of the schemas would take
 * some 20 MB of the daemon's memory. Read at the start, when the file can be reached for certain.
 */
export function readOpenApi(): string {
  return readFileSync(OPENAPI_FILE, "utf8");
}
