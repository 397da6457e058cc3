import assert from "node:assert/strict";
import { readdirSync, readFileSync } from "node:fs";
import { dirname, join, normalize } from "node:path";
import { describe, it } from "node:test";

/** The rooms of src/, in the order in which data goes: a file imports from its own or an earlier one. */
const ROOMS = [
  "libbpf-ts",
  "util",
  "config",
  "events",
  "probes",
  "attach",
  "kernel",
  "names",
  "ports",
  "intake",
  "journal",
  "findings",
  "http",
  "page",
  "channel",
  "daemon",
  "cli",
];

/** A package of its own, with folders of its own; others import it by its name alone. */
const PACKAGE = "libbpf-ts";

const IMPORT = /(?:\bfrom|\bimport\(?)\s*"(\.[^"$]+)"/g;

/** What each source file imports of src/, types included, as paths below src/. */
const imports = new Map(
  ROOMS.filter((room) => room !== PACKAGE)
    .flatMap((room) =>
      readdirSync(join("src", room), { recursive: true })
        .map(String)
        .map((file) => join(room, file)),
    )
    .filter((file) => file.endsWith(".ts"))
    .map((file) => [file, importedBy(file)]),
);

function importedBy(file: string): string[] {
  const text = readFileSync(join("src", file), "utf8");
  return [...text.matchAll(IMPORT)].map(([, path = ""]) => normalize(join(dirname(file), path)));
}

const roomOf = (file: string) => file.split("/")[0] ?? "";

describe("the rooms of src/", () => {
  it("are all in the list", () => {
    const entries = readdirSync("src", { withFileTypes: true });
    const found = entries.filter((entry) => entry.isDirectory()).map(({ name }) => name);
    assert.deepEqual(found.sort(), [...ROOMS].sort());
    const loose = entries.filter((entry) => entry.name.endsWith(".ts")).map(({ name }) => name);
    assert.deepEqual(loose, [], "each file is in a room");
  });

  it("have a sentence each in docs/architecture.md, in this order", () => {
    const text = readFileSync("docs/architecture.md", "utf8");
    const rows = [...text.matchAll(/^\| `src\/([\w-]+)\/` \| (.+) \|$/gm)];
    assert.deepEqual(
      rows.map(([, room]) => room),
      ROOMS,
    );
  });

  it("have files, which import each other", () => {
    assert.ok(imports.size > 150);
    assert.ok([...imports.values()].flat().length > imports.size);
  });

  it("import no room that comes later", () => {
    const onward = [...imports].flatMap(([file, targets]) =>
      targets
        .filter((target) => ROOMS.indexOf(roomOf(target)) > ROOMS.indexOf(roomOf(file)))
        .map((target) => `${file} imports ${target}`),
    );
    assert.deepEqual(onward, []);
  });

  it("import nothing of the tests and dashboards, nor the inside of the bindings", () => {
    const outside = [...imports].flatMap(([file, targets]) =>
      targets
        .filter((target) => !imports.has(target) && !target.endsWith(".json"))
        .map((target) => `${file} imports ${target}`),
    );
    assert.deepEqual(outside, []);
  });

  it("have no files that import each other in a circle, not even for types", () => {
    const state = new Map<string, "open" | "done">();
    const circles: string[] = [];
    const visit = (file: string, path: readonly string[]) => {
      if (state.get(file) === "done") return;
      if (state.get(file) === "open") {
        circles.push([...path.slice(path.indexOf(file)), file].join(" -> "));
        return;
      }
      state.set(file, "open");
      for (const target of imports.get(file) ?? []) visit(target, [...path, file]);
      state.set(file, "done");
    };
    for (const file of imports.keys()) visit(file, []);
    assert.deepEqual(circles, []);
  });
});
