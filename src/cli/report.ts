export interface BackendReport {
  readonly backend: string;
  readonly available: boolean;
  /** Why it is not available. */
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
  const paint = colour ? ansi : (_code: number, text: string) => text;
  const head: [string, string][] = [
    ["kernel", `${report.kernel} (${report.arch})`],
    ["node", report.node],
    ["libbpf", report.libbpf ?? paint(RED, "not found")],
    ...report.facts.map((fact): [string, string] => [fact.name, fact.value]),
  ];
  const width = Math.max(...head.map(([name]) => name.length)) + 2;
  const lines = head.map(([name, value]) => name.padEnd(width) + value);
  for (const probe of report.probes) {
    const chosen = probe.chosen ?? "nothing: this probe cannot work here";
    const colourCode = probe.chosen === undefined ? RED : GREEN;
    lines.push("", `${paint(BOLD, probe.probe)} will use ${paint(colourCode, chosen)}`);
    const nameWidth = Math.max(...probe.backends.map(({ backend }) => backend.length)) + 2;
    lines.push(...probe.backends.map((backend) => backendLine(backend, nameWidth, paint)));
  }
  return `${lines.join("\n")}\n`;
}

/** Colour on a terminal only, and never against NO_COLOR (no-color.org). */
export function wantsColour(stream: NodeJS.WriteStream, environment: NodeJS.ProcessEnv): boolean {
  return stream.isTTY === true && !environment.NO_COLOR;
}

const BOLD = 1;
const RED = 31;
const GREEN = 32;

type Paint = (code: number, text: string) => string;

function ansi(code: number, text: string): string {
  return `\u001b[${code}m${text}\u001b[0m`;
}

function backendLine(
  { backend, available, reason }: BackendReport,
  width: number,
  paint: Paint,
): string {
  const state = available ? paint(GREEN, "yes") : paint(RED, "no ");
  return `  ${backend.padEnd(width)}${state}${reason === undefined ? "" : `  ${reason}`}`;
}
