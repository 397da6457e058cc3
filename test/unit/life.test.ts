import assert from "node:assert/strict";
import { closeSync } from "node:fs";
import { describe, it } from "node:test";
import { memoryFile } from "libbpf-ts";
import { type Legacy, Life, NOTHING } from "../../src/daemon/serve/life.ts";

const PROBES = 2;

function legacy(nextSeq: number, ...delivered: [number, number]): Legacy {
  const counts = delivered.map((count) => ({
    read: count + 1,
    delivered: count,
    malformed: 1,
    toldLost: 3 * count,
    toldRateLimited: 7,
  }));
  return { nextSeq, counts };
}

/** A process that reads rings, and what the next one finds. */
function withLife(act: (life: Life, next: () => Life) => void): void {
  const fd = memoryFile("life");
  try {
    act(new Life(fd, PROBES), () => new Life(fd, PROBES));
  } finally {
    closeSync(fd);
  }
}

describe("what a life of the serving process leaves to the next", () => {
  it("is nothing to the first", () => {
    withLife((life) => {
      assert.deepEqual(life.legacy([0n, 0n]), { nextSeq: 0, counts: [NOTHING, NOTHING] });
    });
  });

  it("is what held after the last batch, if its room was given back", () => {
    withLife((life, next) => {
      life.write({ probe: 1, end: 4096n }, legacy(5, 4, 0), legacy(9, 4, 4));
      assert.deepEqual(next().legacy([0n, 4096n]), legacy(9, 4, 4));
      assert.deepEqual(next().legacy([0n, 8192n]), legacy(9, 4, 4));
    });
  });

  it("is what held before it, if it was not: the batch is read again, with the same numbers", () => {
    withLife((life, next) => {
      life.write({ probe: 1, end: 4096n }, legacy(5, 4, 0), legacy(9, 4, 4));
      assert.deepEqual(next().legacy([8192n, 4000n]), legacy(5, 4, 0));
    });
  });

  it("takes positions and numbers of any size", () => {
    withLife((life, next) => {
      const [before, after] = [legacy(2 ** 52, 2 ** 51, 0), legacy(2 ** 52 + 3, 2 ** 51, 3)];
      life.write({ probe: 0, end: 1n << 62n }, before, after);
      assert.deepEqual(next().legacy([(1n << 62n) - 8n, 0n]), before);
      assert.deepEqual(next().legacy([1n << 62n, 0n]), after);
    });
  });
});
