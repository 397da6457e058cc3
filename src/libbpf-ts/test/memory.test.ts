import assert from "node:assert/strict";
import { readFileSync } from "node:fs";
import { test } from "node:test";
import { setFlagsFromString } from "node:v8";
import { runInNewContext } from "node:vm";
import { returnFreedMemory } from "../src/index.ts";

test("freed memory between what is in use goes back to the kernel", () => {
  const bytes = 16_384;
  const anonymousBytes = () => {
    const status = readFileSync("/proc/self/status", "utf8");
    return Number(/^RssAnon:\s+(\d+) kB$/m.exec(status)?.[1]) * 1024;
  };
  const pairs = Array.from({ length: 2000 }, () => ({
    kept: Buffer.allocUnsafeSlow(bytes).fill(1),
    freed: Buffer.allocUnsafeSlow(bytes).fill(1) as Buffer | undefined,
  }));
  for (const pair of pairs) pair.freed = undefined;
  collectGarbage();
  const before = anonymousBytes();
  returnFreedMemory();
  const returned = before - anonymousBytes();
  // Whole pages only, at places that malloc chose.
  assert.ok(returned > (2000 * bytes) / 2, `${returned} bytes`);
  assert.ok(pairs.every(({ kept }) => kept[bytes - 1] === 1));
});

/** Twice: what the first finds is freed by another thread, which the second waits for. */
function collectGarbage(): void {
  setFlagsFromString("--expose-gc");
  const collect = runInNewContext("gc") as () => void;
  collect();
  collect();
}
