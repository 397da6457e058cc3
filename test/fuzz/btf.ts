import { readFileSync } from "node:fs";
import { fileURLToPath } from "node:url";
import fc from "fast-check";
import { BpfError, Btf, enumValues, generateLayouts, structLayout } from "libbpf-ts";
import { type FuzzTarget, unless } from "./target.ts";

const OBJECT = fileURLToPath(new URL("../../bpf/events.bpf.o", import.meta.url));
const STRUCT = "stale_flow_reuse_event";
const HEADER_BYTES = 24;
/** Some cases damage the header too. */
const HEADER_CASES = 0.1;

function tolerate<T>(act: () => T): T | undefined {
  return unless((error) => error instanceof BpfError, act);
}

function interrogate(btf: Btf): void {
  tolerate(() => structLayout(btf, STRUCT));
  tolerate(() => enumValues(btf, "cause"));
  tolerate(() => generateLayouts(btf, [STRUCT], { source: "fuzz", enums: ["cause"] }));
}

/** The part of an object that the reader looks at first, so that damage falls on it. */
function typesIn(object: Buffer): Buffer {
  for (let at = 0; at + HEADER_BYTES <= object.length; at += 4) {
    if (object.readUInt32LE(at) !== 0x0001eb9f) continue;
    const length = object.readUInt32LE(at + 16) + object.readUInt32LE(at + 20);
    return object.subarray(at, at + HEADER_BYTES + length);
  }
  throw new Error(`${OBJECT}: no BTF`);
}

const changes = fc.array(fc.tuple(fc.double({ min: 0, max: 1, noNaN: true }), fc.nat(255)), {
  maxLength: 10,
});

export const btf: FuzzTarget = {
  name: "btf",
  weight: 5,
  create: () => {
    const object = readFileSync(OBJECT);
    const types = typesIn(object);
    const part = fc.double({ min: 0, max: 1, noNaN: true });
    return fc.property(changes, fc.boolean(), part, part, (list, isElf, cut, skip) => {
      const whole = isElf ? object : types;
      const first = skip < HEADER_CASES || isElf ? 0 : HEADER_BYTES;
      const copy = Buffer.from(whole);
      const span = copy.length - first - 1;
      for (const [place, value] of list) copy[first + Math.floor(place * span)] = value;
      const end = cut < 0.5 ? copy.length : Math.ceil(2 * (1 - cut) * copy.length);
      const bytes = copy.subarray(0, end);
      const read = tolerate(() => (isElf ? Btf.fromObject(bytes, "fuzz") : new Btf(bytes, "fuzz")));
      if (read !== undefined) interrogate(read);
    });
  },
};
