import type { GuestResult } from "./guest.ts";
import type { Kernel } from "./kernels.ts";
import type { Options } from "./options.ts";
import { type Counts, readReport } from "./report.ts";

/** What came of one kernel. */
export interface Outcome extends Counts {
  title: string;
  /** Exit code of the command, where it came to its end. */
  code?: number;
  /** Lines that explain failures and skips. */
  remarks: string[];
  timing: string;
}

const seconds = (ms: number | undefined) => (ms === undefined ? "never" : (ms / 1000).toFixed(1));

function explain(result: GuestResult, options: Options): string {
  switch (result.ending) {
    case "time_limit":
      return `the command was ended at its time limit of ${options.timeoutMs / 1000} s`;
    case "hung":
      return result.bootMs === undefined ? "the kernel did not boot" : "the kernel hung";
    case "panicked":
      return result.bootMs === undefined
        ? "the kernel panicked while it booted, twice"
        : "the kernel panicked, or the guest stopped, while the command ran";
    case "interrupted":
      return "interrupted";
    case "exited":
      return `the command ended with exit code ${result.code}`;
  }
}

function judgeTests(result: GuestResult, kernel: Kernel): Counts & { remarks: string[] } {
  const report = readReport(result.report, kernel.release);
  if (!report) {
    return { passed: 0, failed: 1, skipped: 0, remarks: ["the test runner sent no report"] };
  }
  const remarks = [
    ...report.skips.map((text) => `skipped: ${text}`),
    ...report.wrongSkips.map((text) => `FAILED, must not be skipped here: ${text}`),
    // Told again at the very end: of a long log of several guests often only that is kept.
    ...report.failures.flatMap(({ name, error }) => [
      `FAILED: ${name}`,
      ...error.map((line) => `    ${line}`),
    ]),
  ];
  const nothing = report.passed + report.failed + report.skipped === 0;
  if (nothing) remarks.push("no test ran");
  // A runner that failed without a failed test (a file that cannot be read) is a failure too.
  const failed = report.failed || (nothing || result.code !== 0 ? 1 : 0);
  return { passed: report.passed, failed, skipped: report.skipped, remarks };
}

/** The outcome of a guest that could not be run. */
export function broken(kernel: Kernel, reason: string): Outcome {
  const title = `${kernel.series} (${kernel.release})`;
  return { title, timing: "not run", passed: 0, failed: 1, skipped: 0, remarks: [reason] };
}

/** Judges how a guest ended. */
export function judge(kernel: Kernel, options: Options, result: GuestResult): Outcome {
  const title = `${kernel.series}${options.systemd ? " systemd" : ""} (${kernel.release})`;
  const timing = `boot ${seconds(result.bootMs)} s, total ${seconds(result.totalMs)} s`;
  if (result.ending !== "exited") {
    const remarks = [`FAILED: ${explain(result, options)}`, ...result.oops];
    return { title, timing, passed: 0, failed: 1, skipped: 0, remarks };
  }
  const code = result.code ?? 1;
  if (options.mode === "tests") return { title, timing, code, ...judgeTests(result, kernel) };
  const ok = code === 0;
  const remarks = ok ? [] : [explain(result, options)];
  return { title, timing, code, passed: ok ? 1 : 0, failed: ok ? 0 : 1, skipped: 0, remarks };
}

const numbers = (of: Counts) => `${of.passed} passed, ${of.failed} failed, ${of.skipped} skipped`;

/** The closing lines for all kernels, the last one being the sum. */
export function summary(outcomes: readonly Outcome[]): string {
  const lines = outcomes.flatMap((one) => [
    `${one.title}: ${numbers(one)} (${one.timing})`,
    ...one.remarks.map((remark) => `    ${remark}`),
  ]);
  const sum = { passed: 0, failed: 0, skipped: 0 };
  for (const one of outcomes) {
    sum.passed += one.passed;
    sum.failed += one.failed;
    sum.skipped += one.skipped;
  }
  return `${[...lines, numbers(sum)].join("\n")}\n`;
}
