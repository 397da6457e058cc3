import { type Paint, painter } from "./style.ts";

export interface BackendReport {
  readonly backend: string;
  readonly available: boolean;
  /** Why it is not available, or not by its best programs. */
  readonly reason?: string;
}

export interface ProbeReport {
  readonly probe: string;
  /** In order of preference. */
  readonly backends: readonly BackendReport[];
  /** The one that `run` would use; absent when none is available. */
  readonly chosen?: string;
}

/** What `tuplewatch check` found. */
export interface CheckReport {
  readonly kernel: string;
  readonly arch: string;
  readonly node: string;
  /** Absent when the library cannot be loaded; a fact says why. */
  readonly libbpf?: string;
  readonly probes: readonly ProbeReport[];
  /** Anything else worth knowing, such as where cgroup2 is mounted. */
  readonly facts: readonly { readonly name: string; readonly value: string }[];
}

/** Every probe has a way to work. */
export function isUsable({ probes }: CheckReport): boolean {
  return probes.every((probe) => probe.chosen !== undefined);
}

export function reportAsJson(report: CheckReport): string {
  return `${JSON.stringify(report, undefined, 2)}\n`;
}

export function reportAsText(report: CheckReport, colour: boolean): string {
  const paint = painter(colour);
  const head: [string, string][] = [
    ["kernel", `${report.kernel} (${report.arch})`],
    ["node", report.node],
    ["libbpf", report.libbpf ?? paint("red", "not found")],
    ...report.facts.map((fact): [string, string] => [fact.name, fact.value]),
  ];
  const width = Math.max(...head.map(([name]) => name.length)) + 2;
  const lines = head.map(([name, value]) => name.padEnd(width) + value);
  for (const probe of report.probes) {
    const chosen = probe.chosen ?? "nothing: this probe cannot work here";
    const colourCode = probe.chosen === undefined ? "red" : "green";
    lines.push("", `${paint("bold", probe.probe)} will use ${paint(colourCode, chosen)}`);
    const nameWidth = Math.max(...probe.backends.map(({ backend }) => backend.length)) + 2;
    lines.push(...probe.backends.map((backend) => backendLine(backend, nameWidth, paint)));
  }
  return `${lines.join("\n")}\n`;
}

function backendLine(
  { backend, available, reason }: BackendReport,
  width: number,
  paint: Paint,
): string {
  const state = available ? paint("green", "yes") : paint("red", "no ");
  return `  ${backend.padEnd(width)}${state}${reason === undefined ? "" : `  ${reason}`}`;
}
