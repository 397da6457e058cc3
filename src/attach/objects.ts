import { join } from "node:path";
import { fileURLToPath } from "node:url";

/** build/bpf beside the compiled sources. */
const BUILT = fileURLToPath(new URL("../../bpf/", import.meta.url));

/** Path of a probe's compiled object. */
export function objectPath(probe: string, directory = BUILT): string {
  return join(directory, `${probe}.bpf.o`);
}
