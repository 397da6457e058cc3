// Run by itself it writes the generated file anew: node build/test/generate.js
import { writeFileSync } from "node:fs";
import { join } from "node:path";
import { fileURLToPath } from "node:url";
import { generateLayouts } from "../src/index.ts";
import { testBtf } from "./support.ts";

export function generatedPath(packageDirectory: string): string {
  return join(packageDirectory, "test/generated/layouts.ts");
}

export function generateTestLayouts(): string {
  return generateLayouts(testBtf("layouts"), ["everything"], {
    source: "test/bpf/layouts.bpf.c",
    enums: ["color", "level"],
    packageName: "../../src/index.ts",
  });
}

if (process.argv[1] === fileURLToPath(import.meta.url)) {
  const packageDirectory = fileURLToPath(new URL("../..", import.meta.url));
  writeFileSync(generatedPath(packageDirectory), generateTestLayouts());
}
