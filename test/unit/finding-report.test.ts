import assert from "node:assert/strict";
import { describe, it } from "node:test";
import { pino } from "pino";
import { FindingReport } from "../../src/findings/report.ts";
import { Journal } from "../../src/journal/journal.ts";
import { connectFields, PROCESS, Scene } from "../support/findings.ts";
import { ROOMY } from "../support/server.ts";

function report(): { report: FindingReport; journal: Journal; lines: Record<string, unknown>[] } {
  const lines: Record<string, unknown>[] = [];
  const write = (line: string) => void lines.push(JSON.parse(line));
  const journal = new Journal(ROOMY);
  return { report: new FindingReport(journal, pino({}, { write })), journal, lines };
}

function finding() {
  const scene = new Scene();
  scene.take("connect", connectFields({ result: "EADDRNOTAVAIL" }));
  return scene.only;
}

describe("the report of findings", () => {
  it("is an event with a seq of its own, and a line as severe as the finding", () => {
    const { report: told, journal, lines } = report();
    const { id, summary } = finding();
    told.emit(finding());
    told.opened(finding());
    told.opened({ ...finding(), severity: "warning" });
    told.closed(finding());
    const [event, ...others] = journal.entryAt(0)?.events() ?? [];
    assert.deepEqual(others, []);
    assert.deepEqual([event?.seq, event?.type, event?.id], [1, "finding", id]);
    const [error, warn, info] = [50, 40, 30];
    assert.deepEqual(
      lines.map(({ level, msg }) => [level, msg]),
      [
        [error, `finding: ${summary}`],
        [warn, `finding: ${summary}`],
        [info, `finding closed: ${summary}`],
      ],
    );
    assert.match(String(lines[0]?.remedy), /^See who holds the ports/);
  });

  it("is at most 20 lines a second of one user, and 40 of all", () => {
    const { report: told, lines } = report();
    const one = finding();
    for (let i = 0; i < 500; i++) told.opened(one);
    assert.equal(lines.length, 20);
    for (let uid = 0; uid < 500; uid++) {
      told.opened({ ...one, parties: [{ role: "failed", process: { ...PROCESS, uid } }] });
    }
    assert.equal(lines.length, 40);
  });
});
