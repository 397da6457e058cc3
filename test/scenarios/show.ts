import type { FindingJson } from "../../src/findings/finding.ts";
import { getFindings } from "../support/api.ts";
import { startDaemonProcess } from "../support/commands.ts";
import { SCENARIOS, type ScenarioName } from "./catalog.ts";
import { play } from "./play.ts";

/** A finding has a second; who holds ports is found out a little later. */
const LOOK_MS = 2500;

const say = (line: string) => process.stdout.write(`${line}\n`);

/** Inside a guest: the daemon, a scenario, and what the one says of the other. */
async function main(names: readonly ScenarioName[]): Promise<void> {
  say("starting the daemon");
  const daemon = await startDaemonProcess();
  for (const name of names) {
    const scenario = SCENARIOS[name];
    say(`\n${name}: ${scenario.title}`);
    await play(scenario, () => new Promise((resolve) => setTimeout(resolve, LOOK_MS)), {
      onLine: (line) => say(`  | ${line}`),
    });
  }
  const findings = await getFindings(daemon.url, "state=all");
  say(findings.length === 0 ? "\ntuplewatch: no finding" : "\ntuplewatch:");
  for (const finding of findings.toReversed()) show(finding);
  daemon.child.kill("SIGTERM");
  await daemon.done;
}

function show(finding: FindingJson): void {
  say(`\n  ${finding.kind} (${finding.severity}): ${finding.summary}`);
  say(`    ${finding.explanation}`);
  for (const { summary, commands } of finding.remedies) {
    say(`    - ${summary}`);
    for (const command of commands) say(`        ${command}`);
  }
}

await main(process.argv.slice(2) as ScenarioName[]);
