import assert from "node:assert/strict";
import { spawnSync } from "node:child_process";
import {
  chmodSync,
  existsSync,
  mkdtempSync,
  readdirSync,
  readFileSync,
  rmSync,
  writeFileSync,
} from "node:fs";
import { tmpdir } from "node:os";
import { join } from "node:path";
import { after, before, describe, it } from "node:test";
import fc from "fast-check";
import type { Remedy } from "../../src/findings/finding.ts";
import {
  type Command,
  isPrintable,
  ShellVariable,
  shellCommand,
  type Word,
} from "../../src/util/shell.ts";

const SHELLS = ["sh", "bash", "busybox"].filter((shell) =>
  ["/bin", "/usr/bin"].some((folder) => existsSync(join(folder, shell))),
);

const HOSTILE = [
  "",
  " ",
  "a b",
  "a;id>&2;#",
  "$(id)",
  "`id`",
  "'",
  "''",
  "'; id; '",
  '"',
  "\\",
  "\\'",
  "a\\",
  "$HOME",
  // biome-ignore lint/suspicious/noTemplateCurlyInString: the shell's, not ours
  "${HOME}",
  "~",
  "~root",
  "=ls",
  "a=b",
  "-x",
  "--",
  "*",
  "[a-z]*",
  "{a,b}",
  "a&&b",
  "a|b",
  "a>b",
  "!!",
  "#",
  "a#b",
  "%1",
  "..",
  "../..",
  "größe",
  "名前",
];

/** Characters that read as none, as a space or as an end, and what stands for unreadable bytes. */
const UNPRINTABLE = [
  "\n",
  "\r",
  "\t",
  "\0",
  "\u001b[2J",
  "\u007f",
  "\u0085",
  "\u009b",
  "\u00a0",
  "\u00ad",
  "\u200b",
  "\u200d",
  "\u200e",
  "\u202e",
  "\u2028",
  "\u2029",
  "\u2066",
  "\u3000",
  "\u3164",
  "\ufeff",
  "\ufe0f",
  "\ufffd",
  "\ud800",
  "\u{e0041}",
];

describe("a command", () => {
  let folder: string;
  before(() => {
    folder = mkdtempSync(join(tmpdir(), "tuplewatch-shell-"));
    const script = `#!/bin/sh\nprintf '%s\\0' "$@"\n`;
    writeFileSync(join(folder, "ss"), script);
    chmodSync(join(folder, "ss"), 0o755);
  });
  after(() => rmSync(folder, { recursive: true }));

  function run(shell: string, command: string): { status: number | null; args: string[] } {
    const [program, ...args] = shell === "busybox" ? [shell, "sh"] : [shell];
    const env = { PATH: `${folder}:/usr/bin:/bin` };
    const { status, stdout } = spawnSync(program ?? "", [...args, "-c", command], {
      env,
      cwd: folder,
      encoding: "utf8",
    });
    return { status, args: stdout.split("\0").slice(0, -1) };
  }

  function built(...words: Word[]): Command {
    const result = shellCommand(["ss", ...words]);
    assert.ok("command" in result, JSON.stringify(result));
    return result.command;
  }

  for (const shell of SHELLS) {
    it(`is for ${shell} the words that it was made of`, () => {
      for (const word of HOSTILE) assert.deepEqual(run(shell, built(word)).args, [word]);
      assert.deepEqual(run(shell, built(...HOSTILE)).args, HOSTILE);
    });

    it(`is for ${shell} any words that it was made of`, () => {
      const characters = fc.constantFrom(..."'\"\\$`;&|<>(){}[]*?!#~=%-+,. aé\u4e2d");
      const word = fc.oneof(
        fc.string({ unit: characters }),
        fc.string({ unit: "binary" }).filter(isPrintable),
      );
      const words = fc.array(word, { minLength: 1, maxLength: 20 });
      fc.assert(
        fc.property(words, (list) => assert.deepEqual(run(shell, built(...list)).args, list)),
        { numRuns: 60 },
      );
    });
  }

  it("reads what the one before it writes", () => {
    const result = shellCommand(["ss", "b;", "a"], ["sort", "-z"]);
    assert.ok("command" in result);
    assert.deepEqual(run("sh", result.command).args, ["a", "b;"]);
  });

  it("does not run without a value for its variable, whose value is one word", () => {
    const command = built("--arn", new ShellVariable("TARGET_ARN"));
    assert.notEqual(run("sh", command).status, 0);
    assert.deepEqual(run("sh", command).args, []);
    assert.deepEqual(run("sh", `TARGET_ARN='a b;'; ${command}`).args, ["--arn", "a b;"]);
    assert.throws(() => new ShellVariable("A;id"), RangeError);
  });

  for (const character of UNPRINTABLE) {
    it(`is refused with ${JSON.stringify(character)} in a word, wherever`, () => {
      for (const word of [character, `a${character}`, `${character}a`]) {
        assert.deepEqual(shellCommand(["ss", "b", word]), { unprintable: word });
        assert.deepEqual(shellCommand(["ss"], ["sort", word]), { unprintable: word });
      }
    });
  }
});

describe("no other code makes commands", () => {
  it("since no other string is one", () => {
    // @ts-expect-error a string is no command
    const command: Command = "ss";
    // @ts-expect-error nor are strings those of a remedy
    const remedy: Remedy = { summary: "", commands: ["ss"] };
    assert.ok(command.length + remedy.commands.length > 0);
  });

  it("and none is called one", () => {
    const files = readdirSync("src", { recursive: true }).map((file) => join("src", String(file)));
    const casts = /\bas (readonly )?Command\b|<Command>/;
    const sources = files.filter((file) => file.endsWith(".ts") && !file.includes("libbpf-ts"));
    const wrong = sources.filter((file) => casts.test(readFileSync(file, "utf8")));
    assert.deepEqual(wrong, ["src/util/shell.ts"]);
    const disguised = sources
      .filter((file) => file.startsWith("src/findings/"))
      .filter((file) => /\bas (unknown|never|any)\b/.test(readFileSync(file, "utf8")));
    assert.deepEqual(disguised, []);
  });
});
