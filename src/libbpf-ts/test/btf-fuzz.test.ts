import assert from "node:assert/strict";
import { readFileSync } from "node:fs";
import { test } from "node:test";
import fc from "fast-check";
import { BpfError, Btf, BtfKind, enumValues, generateLayouts, structLayout } from "../src/index.ts";
import { objectPath } from "./support.ts";

const object = readFileSync(objectPath("layouts"));

/** Any answer will do, and any BpfError; another error, or none at all for long, is a defect. */
function tolerate<T>(run: () => T): T | undefined {
  try {
    return run();
  } catch (error) {
    if (error instanceof BpfError) return undefined;
    throw error;
  }
}

function interrogate(btf: Btf): void {
  tolerate(() => structLayout(btf, "everything"));
  tolerate(() => enumValues(btf, "color"));
  tolerate(() => generateLayouts(btf, ["everything"], { source: "fuzz", enums: ["color"] }));
}

function start(marker: number): number {
  for (let at = 0; at + 4 <= object.length; at += 4) {
    if (object.readUInt32LE(at) === marker) return at;
  }
  throw new Error("no BTF in the object");
}

const BTF_AT = start(0x0001eb9f);
const raw = object.subarray(
  BTF_AT,
  BTF_AT + 24 + object.readUInt32LE(BTF_AT + 16) + object.readUInt32LE(BTF_AT + 20),
);
const changes = fc.array(fc.tuple(fc.nat(), fc.integer({ min: 0, max: 255 })), { maxLength: 12 });

function damage(
  bytes: Uint8Array,
  at: number,
  list: readonly (readonly [number, number])[],
): Buffer {
  const copy = Buffer.from(bytes);
  for (const [offset, value] of list) copy[at + (offset % (copy.length - at))] = value;
  return copy;
}

test("damaged BTF is refused or read, and never hangs", () => {
  fc.assert(
    fc.property(changes, (list) => {
      const btf = tolerate(() => new Btf(damage(raw, 24, list), "fuzz"));
      if (btf !== undefined) interrogate(btf);
    }),
    { numRuns: 1500 },
  );
});

test("BTF and ELF that are cut off or damaged anywhere are refused or read", () => {
  fc.assert(
    fc.property(fc.nat(object.length), changes, (length, list) => {
      const copy = damage(object, 0, list).subarray(0, length);
      const btf = tolerate(() => Btf.fromObject(copy, "fuzz"));
      if (btf !== undefined) interrogate(btf);
      tolerate(() => new Btf(raw.subarray(0, length % raw.length), "fuzz"));
    }),
    { numRuns: 1500 },
  );
});

test("BTF is read wherever its bytes lie in memory", () => {
  for (const offset of [0, 1, 2, 3]) {
    const moved = Buffer.alloc(raw.length + offset);
    raw.copy(moved, offset);
    assert.equal(
      structLayout(new Btf(moved.subarray(offset), "moved"), "everything").name,
      "everything",
    );
  }
});

/** One struct whose members, all anonymous, are the struct itself. */
function endlessStruct(members: number, name: string): Uint8Array {
  const words = [1, BtfKind.STRUCT * 2 ** 24 + members, 8];
  for (let i = 0; i < members; i++) words.push(name === "" ? 0 : 1, 1, 0);
  const strings = Buffer.from("\0everything\0");
  const header = new Uint32Array([
    0x0001eb9f,
    24,
    0,
    words.length * 4,
    words.length * 4,
    strings.length,
  ]);
  return Buffer.concat([
    Buffer.from(header.buffer),
    Buffer.from(new Uint32Array(words).buffer),
    strings,
  ]);
}

test("structs that contain themselves end in an error, at little cost", () => {
  const before = process.cpuUsage();
  for (const name of ["", "named"]) {
    for (const members of [1, 2, 60_000]) {
      const btf = new Btf(endlessStruct(members, name), "ring");
      assert.throws(() => structLayout(btf, "everything"), BpfError);
      interrogate(btf);
    }
  }
  const { user, system } = process.cpuUsage(before);
  assert.ok(user + system < 10e6, `${user + system} us of CPU time`);
});
