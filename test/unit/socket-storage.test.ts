import assert from "node:assert/strict";
import { execFileSync } from "node:child_process";
import { readdirSync } from "node:fs";
import { join } from "node:path";
import { describe, it } from "node:test";

const BUILT = "build/bpf";

/** BPF_FUNC_sk_storage_get and _delete (include/uapi/linux/bpf.h). */
const STORAGE = /\bcall (?:0x6b|107|0x6c|108)$/;
const ANOTHER_FUNCTION = /\bcall -?(?:0x)?[0-9a-f]+$/;

/** Functions of the kernel itself wherever it speaks IPv4, which is never a module. */
const BUILT_IN = /^(tcp_|inet_(?!6)|__inet_hash_connect$|udp_send_skb$)/;

/** Lines of each section of code, by its name. */
function sectionsOf(object: string): Map<string, string[]> {
  const text = execFileSync("llvm-objdump", ["-d", "--no-show-raw-insn", join(BUILT, object)], {
    encoding: "utf8",
  });
  const sections = new Map<string, string[]>();
  let lines: string[] = [];
  for (const line of text.split("\n")) {
    const [, name] = /^Disassembly of section (.*):$/.exec(line) ?? [];
    if (name !== undefined) {
      lines = [];
      sections.set(name, lines);
    }
    lines.push(line);
  }
  return sections;
}

/**
 * A program at a module's function that uses socket storage is the end of the kernel that loads it
 * (bpf/include/socket_record.h).
 */
describe("socket storage", () => {
  const uses = (lines: readonly string[] = []) => lines.some((line) => STORAGE.test(line));
  const objects = readdirSync(BUILT).filter((name) => name.endsWith(".bpf.o"));

  it("is used, or this test would find nothing", () => {
    const found = objects.filter((object) => [...sectionsOf(object).values()].some(uses));
    assert.ok(found.length >= 3, found.join(", "));
  });

  for (const object of objects) {
    it(`is used by no program of ${object} at a function that may be a module's`, () => {
      const sections = sectionsOf(object);
      for (const [name, lines] of sections) {
        const [, functionName] = /^f(?:entry|exit)\/(.+)$/.exec(name) ?? [];
        if (functionName === undefined || BUILT_IN.test(functionName)) continue;
        assert.ok(!uses(lines), name);
        // Whichever functions it calls are in .text.
        const calls = lines.some((line) => ANOTHER_FUNCTION.test(line) && !STORAGE.test(line));
        assert.ok(!calls || !uses(sections.get(".text")), `${name} by way of .text`);
      }
    });
  }
});
