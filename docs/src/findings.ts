import { FINDING_KINDS } from "../../src/events/finding-kinds.ts";
import { FINDING_CATALOG } from "../../src/findings/catalog.ts";
import { code, codes, sentence, table } from "./markdown.ts";
import { FINDING_OBJECTS, objectSections } from "./objects.ts";

/** One row for each kind; `page` is the path of the reference from the file that has the table. */
export function findingTable(page: string): string {
  return table(
    ["kind", "what happened", "what to do"],
    FINDING_KINDS.map((kind) => {
      const { incident, remedy } = FINDING_CATALOG[kind];
      return [`[${code(kind)}](${page}#${kind})`, incident, remedy];
    }),
  );
}

export function findingSections(): string {
  return FINDING_KINDS.map((kind) => {
    const { incident, rule, lookAlikes, remedy, severities } = FINDING_CATALOG[kind];
    const source = `../../src/findings/${kind}.ts`;
    const rows = [
      ["severity", codes(severities)],
      ["rule", rule],
      ["no finding", lookAlikes],
      ["what to do", remedy],
    ];
    const text = rows.map(([name, value]) => `* **${name}**: ${value}\n`).join("");
    const more = `The rule in full, with the kernel's functions: [${kind}.ts](${source}).`;
    return `### ${code(kind)}\n\n${sentence(incident)}\n\n${text}\n${more}\n`;
  }).join("\n");
}

export function findingObjects(): string {
  return objectSections("findings", FINDING_OBJECTS);
}
