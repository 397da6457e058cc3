import { fileURLToPath } from "node:url";

/** Compiled object of a probe: build/bpf/NAME.bpf.o beside the compiled sources. */
export function objectPath(probe: string): string {
  const directory = process.env.TUPLEWATCH_BPF_DIR;
  if (directory !== undefined) return `${directory}/${probe}.bpf.o`;
  return fileURLToPath(new URL(`../../bpf/${probe}.bpf.o`, import.meta.url));
}
