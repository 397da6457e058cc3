import assert from "node:assert/strict";
import { execFileSync } from "node:child_process";
import { readFileSync } from "node:fs";
import { test } from "node:test";
import { Btf, BtfKind, enumValues, structLayout } from "../src/index.ts";

import { objectPath, testBtf } from "./support.ts";

/** A type as `bpftool -j btf dump` prints it; only what is compared. */
interface Dumped {
  readonly id: number;
  readonly kind: string;
  readonly name: string;
  readonly size?: number;
  readonly type_id?: number;
  readonly nr_elems?: number;
  readonly ret_type_id?: number;
  readonly members?: readonly {
    readonly name: string;
    readonly type_id: number;
    readonly bits_offset: number;
    readonly bitfield_size?: number;
  }[];
  readonly values?: readonly { readonly name: string; readonly val: number }[];
  readonly params?: readonly { readonly name: string; readonly type_id: number }[];
}

function dump(path: string): Dumped[] {
  const json = execFileSync("bpftool", ["-j", "btf", "dump", "file", path], {
    maxBuffer: 1 << 28,
  });
  return (JSON.parse(json.toString()) as { types: Dumped[] }).types;
}

const KIND_NAMES = new Map<number, string>(
  Object.entries(BtfKind).map(([name, number]) => [number, name]),
);

/** bpftool writes "(anon)" for a name that is empty. */
function named(name: string): string {
  return name === "" ? "(anon)" : name;
}

function dumpMembers(btf: Btf, id: number): unknown[] {
  const list: unknown[] = [];
  for (let i = 0; i < btf.count(id); i++) {
    const offset = btf.word(id, 5 + i * 3);
    list.push([
      named(btf.string(btf.word(id, 3 + i * 3))),
      btf.word(id, 4 + i * 3),
      btf.flag(id) ? offset & 0xffffff : offset,
      btf.flag(id) ? offset >>> 24 : 0,
    ]);
  }
  return list;
}

function compare(btf: Btf, types: readonly Dumped[]): void {
  assert.equal(btf.endId, types.length + 1);
  for (const type of types) {
    const { id } = type;
    assert.equal(KIND_NAMES.get(btf.kind(id)), type.kind, `kind of ${id}`);
    if (type.kind !== "ARRAY") assert.equal(named(btf.typeName(id)), type.name, `name of ${id}`);
    if (type.size !== undefined && type.kind !== "DATASEC") {
      assert.equal(btf.sizeOrType(id), type.size, `size of ${id}`);
    }
    if (type.kind === "ARRAY") {
      assert.deepEqual([btf.word(id, 3), btf.word(id, 5)], [type.type_id, type.nr_elems]);
    } else if (type.type_id !== undefined && type.kind !== "ARRAY") {
      assert.equal(btf.sizeOrType(id), type.type_id, `type of ${id}`);
    }
    if (type.members !== undefined) {
      const expected = type.members.map((member) => [
        member.name,
        member.type_id,
        member.bits_offset,
        member.bitfield_size ?? 0,
      ]);
      assert.deepEqual(dumpMembers(btf, id), expected, `members of ${id}`);
    }
    if (type.params !== undefined) {
      const parameters = type.params.map((_, i) => [
        named(btf.string(btf.word(id, 3 + i * 2))),
        btf.word(id, 4 + i * 2),
      ]);
      assert.deepEqual(
        parameters,
        type.params.map((p) => [p.name, p.type_id]),
      );
    }
  }
}

for (const name of ["layouts", "events", "maps", "attach"]) {
  test(`the BTF of ${name} is what bpftool reads`, () => {
    compare(testBtf(name), dump(objectPath(name)));
  });
}

function kernelBtf(): Btf {
  return new Btf(readFileSync("/sys/kernel/btf/vmlinux"), "vmlinux");
}

test("the kernel's BTF is what bpftool reads, and parses at little cost", () => {
  const before = process.cpuUsage();
  const btf = kernelBtf();
  assert.ok(btf.find("sk_buff", BtfKind.STRUCT) !== undefined);
  const { user, system } = process.cpuUsage(before);
  assert.ok(user + system < 1e6, `${user + system} us of CPU time`);
  const types = dump("/sys/kernel/btf/vmlinux");
  compare(btf, types);
  const first = new Map<string, number>();
  for (const { kind, name, id } of types) {
    const key = `${kind} ${name}`;
    if (!first.has(key)) first.set(key, id);
  }
  for (const { kind, name } of types.filter(({ id }) => id % 50 === 0)) {
    if (name === "(anon)" || name === undefined) continue;
    const number = BtfKind[kind as keyof typeof BtfKind];
    assert.equal(btf.find(name, number), first.get(`${kind} ${name}`), `${kind} ${name}`);
  }
});

test("enumerations and structs are found by name", () => {
  const btf = kernelBtf();
  assert.equal(enumValues(btf, "skb_drop_reason")?.get("SKB_NOT_DROPPED_YET"), 0n);
  assert.equal(enumValues(btf, "no_such_enum"), undefined);
  assert.throws(() => structLayout(btf, "no_such_struct"), { code: "ENOENT" });
});

/** Raw BTF of types given as words and of NUL-terminated strings. */
function encode(types: readonly number[], strings: string): Uint8Array {
  const text = Buffer.from(strings);
  const header = new DataView(new ArrayBuffer(24));
  header.setUint16(0, 0xeb9f, true);
  header.setUint8(2, 1);
  header.setUint32(4, 24, true);
  header.setUint32(12, types.length * 4, true);
  header.setUint32(16, types.length * 4, true);
  header.setUint32(20, text.length, true);
  const words = Buffer.from(new Uint32Array(types).buffer);
  return Buffer.concat([Buffer.from(header.buffer), words, text]);
}

const kindWord = (kind: number, count = 0): number => kind * 2 ** 24 + count;

test("a module's BTF continues the ids and strings of its base", () => {
  // base: 1 = int "u32"; module: 2 = struct "pair" { u32 a; u32 b; }, 3 = typedef "u32" of 2
  const base = new Btf(encode([1, kindWord(BtfKind.INT), 4, 32], "\0u32\0"), "base");
  const [pair, a, b] = [5, 10, 12];
  const members = [a, 1, 0, b, 1, 32];
  const types = [pair, kindWord(BtfKind.STRUCT, 2), 8, ...members, 1, kindWord(BtfKind.TYPEDEF), 2];
  const btf = new Btf(encode(types, "pair\0a\0b\0"), "module", base);
  assert.equal(btf.endId, 4);
  assert.deepEqual(structLayout(btf, "pair").fields, [
    { name: "a", offset: 0, kind: "u32", size: 4 },
    { name: "b", offset: 4, kind: "u32", size: 4 },
  ]);
  assert.equal(btf.find("u32", BtfKind.INT), 1);
  assert.equal(btf.find("u32", BtfKind.TYPEDEF), 3);
  assert.equal(base.find("u32", BtfKind.TYPEDEF), undefined);
  assert.equal(base.find("pair", BtfKind.STRUCT), undefined);
});

test("64-bit and negative enumerators", () => {
  const enum64 = [1, kindWord(BtfKind.ENUM64, 1), 8, 6, 0xffffffff, 0x7fffffff];
  const negative = [3, kindWord(BtfKind.ENUM, 1) + 2 ** 31, 4, 6, 0xfffffffe];
  const btf = new Btf(encode([...enum64, ...negative], "\0w\0n\0\0v\0"), "enums");
  assert.deepEqual([...(enumValues(btf, "w") ?? [])], [["v", 0x7fffffffffffffffn]]);
  assert.deepEqual([...(enumValues(btf, "n") ?? [])], [["v", -2n]]);
});

test("an object without BTF, or no object, is a clear error", () => {
  const bytes = Buffer.from(readFileSync(objectPath("plain")));
  bytes.write(".X", bytes.indexOf(".BTF\0"));
  assert.throws(() => Btf.fromObject(bytes, "plain"), /plain: ENODATA: no .BTF section/);
  assert.throws(() => Btf.fromObject(new Uint8Array(10), "junk"), /no ELF header/);
  assert.throws(() => new Btf(new Uint8Array(10), "junk"), /only 10 bytes/);
  assert.throws(() => new Btf(new Uint8Array(24), "junk"), /magic 0x0/);
});
