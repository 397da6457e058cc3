import assert from "node:assert/strict";
import { existsSync, readFileSync } from "node:fs";
import { describe, it } from "node:test";
import { servingFilter } from "../../src/daemon/serve/filter.ts";
import { SYSTEM_CALLS } from "../../src/daemon/serve/system-calls.ts";

/** arm64 has the generic table, x86-64 one of its own. */
const GENERIC = "/usr/include/asm-generic/unistd.h";
const X64 = ["/usr/include/x86_64-linux-gnu/asm/unistd_64.h", "/usr/include/asm/unistd_64.h"];

/** The table of a header. Calls that are newer than it have the same number everywhere. */
function numbersIn(header: string): Map<string, number> {
  const text = readFileSync(header, "utf8");
  const lines = text.matchAll(/^#define __NR(?:3264)?_(\w+)\s+(\d+)$/gm);
  return new Map([...lines].map(([, name = "", number]) => [name, Number(number)]));
}

describe("the numbers of system calls", () => {
  const [x64Header] = X64.filter((path) => existsSync(path));
  const skip = x64Header === undefined && "the kernel's headers of another architecture";

  it("are those of the kernel's headers", { skip }, () => {
    const x64 = numbersIn(x64Header ?? "");
    const arm64 = numbersIn(GENERIC);
    const newest = Math.max(...arm64.values());
    for (const [name, numbers] of Object.entries(SYSTEM_CALLS)) {
      const isNewer = numbers[0] === numbers[1] && (numbers[0] ?? 0) > newest;
      if (!isNewer) assert.deepEqual(numbers, [x64.get(name), arm64.get(name)], name);
    }
  });
});

const RETURN = 0x06;
const KILL_PROCESS = 0x80000000;
const ALLOW = 0x7fff0000;
const X64_CODE = 0xc000003e;
const ARM64_CODE = 0xc00000b7;
const OWN_PID = 4711;

/** What the filter says to a call, by the rules of classic BPF (seccomp(2)). */
function verdict(
  architecture: "x64" | "arm64",
  code: number,
  number: number,
  ...call: number[]
): number {
  const program = servingFilter(OWN_PID, architecture);
  const data = new DataView(new ArrayBuffer(64));
  data.setUint32(0, number, true);
  data.setUint32(4, code, true);
  for (const [index, value] of call.entries()) {
    data.setBigUint64(16 + 8 * index, BigInt.asUintN(64, BigInt(value)), true);
  }
  let word = 0;
  for (let at = 0; at < program.length; at++) {
    const { code: operation, operand, jumpTrue, jumpFalse } = program[at] ?? assert.fail();
    const constant = operand >>> 0;
    const holds: Record<number, () => boolean> = {
      21: () => word === constant,
      53: () => word >= constant,
      69: () => (word & constant) !== 0,
    };
    if (operation === RETURN) return constant;
    if (operation === 0x20) word = data.getUint32(constant, true);
    else at += (holds[operation] ?? assert.fail(`operation ${operation}`))() ? jumpTrue : jumpFalse;
  }
  return assert.fail("the filter does not end");
}

const EPERM = 0x00050001;

describe("the filter of the process that serves", () => {
  for (const [architecture, code, other, column] of [
    ["x64", X64_CODE, ARM64_CODE, 0],
    ["arm64", ARM64_CODE, X64_CODE, 1],
  ] as const) {
    const ask = (name: string, ...call: number[]) => {
      return verdict(architecture, code, SYSTEM_CALLS[name]?.[column] ?? -1, ...call);
    };

    it(`(${architecture}) ends who makes a call of another architecture`, () => {
      assert.equal(verdict(architecture, other, 0), KILL_PROCESS);
      const x32 = verdict(architecture, code, 0x40000000);
      assert.equal(x32, architecture === "x64" ? KILL_PROCESS : ALLOW);
    });

    it(`(${architecture}) tells by the argument what is harmless`, () => {
      const pairs: [string, number[], number[]][] = [
        ["clone", [0x3d0f00], [17]],
        ["fcntl", [0, 4, 0x800], [0, 8, 1]],
        ["ioctl", [0, 0x5421], [0, 0x5412]],
        ["kill", [OWN_PID, 0], [-OWN_PID, 0]],
        ["openat", [-100, 0, 0o2000000], [-100, 0, 0o1]],
        ["prctl", [15], [1]],
        ["prlimit64", [0, 7], [OWN_PID - 1, 7]],
        ["sendmmsg", [0, 0, 1, 0x4000], [0, 0, 1, 0x20000000]],
        ["sendmsg", [0, 0, 0x4000], [0, 0, 0x20004000]],
        ["sendto", [0, 0, 0, 0x4040], [0, 0, 0, 0x20000000]],
        ["shutdown", [0, 1], [0, 2]],
        ["tgkill", [OWN_PID, 1, 10], [1, 1, 10]],
      ];
      for (const [name, harmless, harmful] of pairs) {
        assert.equal(ask(name, ...harmless), ALLOW, name);
        assert.equal(ask(name, ...harmful), EPERM, name);
      }
      for (const option of [1, 4, 5, 6, 9, 13])
        assert.equal(ask("setsockopt", 0, 6, option), ALLOW);
      for (const option of [0, 2, 7, 8, 12, 14, 26, 44, 50]) {
        assert.equal(ask("setsockopt", 0, 1, option), EPERM, `option ${option}`);
      }
      assert.equal(ask("connect", 0, 0, 16), EPERM);
    });
  }
});
