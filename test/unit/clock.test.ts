import assert from "node:assert/strict";
import { describe, it } from "node:test";
import { formatTime, WallClock } from "../../src/kernel/clock.ts";

describe("the wall clock", () => {
  it("is Date.now() on the clock of the kernel's time stamps", () => {
    const clock = new WallClock();
    const before = Date.now();
    const told = clock.wallMs(clock.nowMs());
    assert.ok(told >= before - 1 && told <= Date.now() + 1, `${before} ${told} ${Date.now()}`);
  });

  it("is followed when it is slewed or set, and keeps the order of events otherwise", () => {
    const steps: number[] = [];
    let offsetNs = 1_000_000_000_000n;
    const clock = new WallClock(() => offsetNs);
    clock.onStep((byMs) => void steps.push(byMs));
    const moved: [by: bigint, told: bigint][] = [
      [99_999n, 1_000_000_000_000n],
      [-99_999n, 1_000_000_000_000n],
      [100_000n, 1_000_000_100_000n],
      [999_999_999n, 1_000_999_999_999n],
      [3_600_000_000_000n, 4_600_000_000_000n],
      [-7_200_000_000_000n, -6_200_000_000_000n],
    ];
    for (const [by, told] of moved) {
      offsetNs = 1_000_000_000_000n + by;
      assert.equal(clock.readOffsetNs(), told);
    }
    assert.deepEqual(steps, [3_599_000.000001, -10_800_000]);
  });

  it("is told in UTC with nanoseconds", () => {
    assert.equal(formatTime(1_773_500_966_000_000_007n), "2026-03-14T15:09:26.000000007Z");
  });
});
