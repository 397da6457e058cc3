import { parseDocument } from "yaml";
import { isRightfulSkip } from "./requires.ts";

/**
 * The lines of a TAP report (as Node's test runner writes it) that a guest sends back, beside each
 * "not ok" with the block that follows it.
 */
export const REPORT_LINES = "^# (pass|fail|cancelled|skipped|todo) [0-9]+$|^ *ok .* # SKIP";

/** What is kept of one failure's text. */
const MAX_FAILURE_LINES = 40;
const MAX_LINE_LENGTH = 1000;

/** How Node names a test that `--test-name-pattern` left out (up to Node 20, which counts it). */
const NOT_ASKED_FOR = "test name does not match pattern";

export interface Counts {
  passed: number;
  failed: number;
  skipped: number;
}

export interface Report extends Counts {
  /** One line for each skipped test: its name and the reason. */
  skips: string[];
  /** The skips that do not hold on this kernel; they are counted as failed. */
  wrongSkips: string[];
  failures: Failure[];
}

/** A failed test, and the lines of its error. */
export interface Failure {
  /** With its file and line, where the report has them. */
  name: string;
  error: string[];
}

/** Reads the report lines of a guest with kernel `running`; undefined if the counts are missing. */
export function readReport(lines: readonly string[], running: string): Report | undefined {
  const counts = new Map<string, number>();
  const skips: string[] = [];
  const wrongSkips: string[] = [];
  let leftOut = 0;
  for (const line of lines) {
    const count = /^# (\w+) (\d+)$/.exec(line);
    // A test's own diagnostics look alike, and come before the runner's, so the last one counts.
    if (count) counts.set(count[1] ?? "", Number(count[2]));
    const skip = /^ *ok \d+ - (.*) # SKIP ?(.*)$/.exec(line);
    if (!skip) continue;
    const [, name, reason = ""] = skip;
    const text = `${name}: ${reason || "no reason given"}`;
    if (reason === NOT_ASKED_FOR) leftOut++;
    else if (isRightfulSkip(reason, running)) skips.push(text);
    else wrongSkips.push(text);
  }
  const of = (name: string) => counts.get(name) ?? 0;
  if (!counts.has("pass") || !counts.has("fail")) return undefined;
  // A "todo" test is one that may fail unseen, which a guest's test may not.
  return {
    passed: of("pass"),
    failed: of("fail") + of("cancelled") + of("todo") + wrongSkips.length,
    skipped: of("skipped") - leftOut - wrongSkips.length,
    skips,
    wrongSkips,
    failures: readFailures(lines),
  };
}

/** A suite that failed only because a test in it did is left out. */
function readFailures(lines: readonly string[]): Failure[] {
  const failures: Failure[] = [];
  for (const [index, line] of lines.entries()) {
    const name = /^ *not ok \d+ - (.*)$/.exec(line)?.[1];
    if (name === undefined) continue;
    const length = lines.slice(index).findIndex((one) => /^ *\.\.\.$/.test(one));
    // "not ok" itself and "---" are before the block.
    const block = lines.slice(index + 2, length < 0 ? undefined : index + length);
    const details = parseDocument(block.join("\n"));
    if (details.get("failureType") === "subtestsFailed") continue;
    const error = String(details.get("error") ?? "").split("\n");
    const kept = error.slice(0, MAX_FAILURE_LINES).map((text) => text.slice(0, MAX_LINE_LENGTH));
    failures.push({ name: `${name}${placeOf(details.get("location"))}`, error: kept });
  }
  return failures;
}

/** " (file.test.js:12)" of "/path/file.test.js:12:3". */
function placeOf(location: unknown): string {
  const place = /([^/]+:\d+):\d+$/.exec(String(location))?.[1];
  return place === undefined ? "" : ` (${place})`;
}
