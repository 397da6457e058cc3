import { amounts, endpoint, who } from "../events/line.ts";
import type { FindingJson } from "../findings/finding.ts";
import { printable } from "../util/text.ts";
import { Api, type Target } from "./api.ts";
import { type Paint, painter, wantsColour } from "./style.ts";

export interface FindingsOptions {
  readonly target: Target;
  readonly kinds: readonly string[];
  readonly state?: string | undefined;
  readonly json: boolean;
}

/** `tuplewatch findings`: what is wrong, who is in it and what to do. */
export async function findings({ target, kinds, state, json }: FindingsOptions): Promise<void> {
  const query = new URLSearchParams(kinds.map((kind): [string, string] => ["kind", kind]));
  if (state !== undefined) query.set("state", state);
  const body = await new Api(target).getJson<{ findings: FindingJson[] }>(`/findings?${query}`);
  const paint = painter(wantsColour(process.stdout, process.env));
  process.stdout.write(
    json ? `${JSON.stringify(body, undefined, 2)}\n` : findingsAsText(body.findings, paint),
  );
}

export function findingsAsText(found: readonly FindingJson[], paint: Paint): string {
  if (found.length === 0) return "no findings\n";
  return `${found.map((finding) => findingLines(finding, paint).join("\n")).join("\n\n")}\n`;
}

function findingLines(finding: FindingJson, paint: Paint): string[] {
  const { kind, severity, state, summary, explanation, parties, remedies, references } = finding;
  const { confidence } = finding;
  const colour = severity === "critical" ? "red" : severity === "warning" ? "yellow" : "cyan";
  const label = state === "closed" ? "closed" : severity;
  const seen = `${finding.first_seen} to ${finding.last_seen}`;
  const lines = [
    `${paint(colour, label.toUpperCase())}  ${paint("bold", kind)}  ${paint("dim", printable(finding.id))}`,
    `  ${printable(summary)}`,
    `  ${printable(explanation)}`,
    `  ${paint("dim", "seen")}        ${seen}, ${finding.count} in all`,
    ...parties.map((party) => `  ${paint("dim", roleText(party))} ${partyText(party)}`),
    `  ${paint("dim", "confidence")}  ${confidence.level}: ${printable(confidence.rests_on)}`,
    `  ${paint("dim", "evidence")}    events ${finding.evidence.join(", ")}`,
  ];
  for (const { summary: what, where, commands, snippets = [] } of remedies) {
    lines.push(`  ${paint("green", "do")}  ${printable(what)}`);
    if (where !== undefined) lines.push(`      ${paint("dim", "on")} ${printable(where)}:`);
    lines.push(...[...commands, ...snippets].map((line) => `        ${printable(line)}`));
  }
  lines.push(
    ...references.map(
      ({ title, url }) => `  ${paint("dim", "see")} ${printable(`${title} <${url}>`)}`,
    ),
  );
  return lines;
}

function roleText({ role }: FindingJson["parties"][number]): string {
  return printable(role).padEnd(11);
}

function partyText(party: FindingJson["parties"][number]): string {
  const { local, peer } = party;
  const flow = [local, peer].filter((end) => end !== undefined).map(endpoint);
  const words = [who(party), flow.join(" > "), ...amounts(party)];
  return printable(words.filter((word) => word !== "").join("  "));
}
