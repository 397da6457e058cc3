import { execFileSync } from "node:child_process";
import type { FindingJson } from "../../src/findings/finding.ts";
import { getFindings } from "../support/api.ts";
import { startDaemonProcess } from "../support/commands.ts";
import { SCENARIOS, type ScenarioName } from "./catalog.ts";
import { type Incident, observe } from "./incident.ts";

/** The daemon hooks the module when it sees it, which may be after such a short incident. */
const NEED_MODULE: readonly ScenarioName[] = ["E", "E-notrack"];

const say = (line: string) => process.stdout.write(`${line}\n`);

/** Inside a guest: the daemon, the scenarios, and what the one says of the others. */
async function main(names: readonly ScenarioName[]): Promise<number> {
  if (names.some((name) => NEED_MODULE.includes(name))) {
    say(
      "loading nf_conntrack before the daemon starts, so that it is hooked from the first packet",
    );
    execFileSync("modprobe", ["nf_conntrack"]);
  }
  say("starting the daemon");
  const daemon = await startDaemonProcess();
  const unexpected: ScenarioName[] = [];
  for (const name of names) if (!(await isAsExpected(daemon.url, name))) unexpected.push(name);
  daemon.child.kill("SIGTERM");
  const { code, stderr } = await daemon.done;
  if (code !== 0) say(`\nFAILED: the daemon ended with exit code ${code}: ${stderr}`);
  if (unexpected.length > 0) say(`\nFAILED: not the findings expected: ${unexpected.join(", ")}`);
  return code === 0 && unexpected.length === 0 ? 0 : 1;
}

async function isAsExpected(url: string, name: ScenarioName): Promise<boolean> {
  const { title, findings: expected } = SCENARIOS[name];
  say(`\n${name}: ${title}`);
  const onLine = (line: string) => say(`  | ${line}`);
  const whileUp = async ({ opened }: Incident) => {
    const ids = opened.map(({ id }) => id);
    for (const finding of await getFindings(url, "state=all")) {
      if (ids.includes(finding.id)) show(finding);
    }
    return opened.map(({ kind }) => kind);
  };
  const kinds = await observe(url, SCENARIOS[name], whileUp, { onLine });
  const text = (list: readonly string[]) => (list.length > 0 ? list.join(", ") : "no finding");
  const isExpected = text(kinds) === text(expected);
  const verdict = isExpected ? "as expected" : `FAILED: expected ${text(expected)}`;
  say(`\ntuplewatch: ${text(kinds)}: ${verdict}`);
  return isExpected;
}

function show(finding: FindingJson): void {
  say(`\n  ${finding.kind} (${finding.severity}): ${finding.summary}`);
  say(`    ${finding.explanation}`);
  for (const { summary, where, commands, snippets = [] } of finding.remedies) {
    say(`    - ${summary}${where === undefined ? "" : ` On ${where}:`}`);
    for (const line of [...commands, ...snippets]) say(`        ${line}`);
  }
}

process.exitCode = await main(process.argv.slice(2) as ScenarioName[]);
