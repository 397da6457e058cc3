import { amounts, endpoint, who } from "../events/line.ts";
import type { PortHolder } from "../ports/ports.schema.ts";
import type { NamespacePorts, PortReport } from "../ports/report.schema.ts";
import { printable } from "../util/text.ts";
import { Api, type Target } from "./api.ts";
import { columns, type Paint, painter, wantsColour } from "./style.ts";

export interface PortsOptions {
  readonly target: Target;
  readonly netns?: string | undefined;
  readonly protocol?: string | undefined;
  readonly json: boolean;
}

/** Of destinations and of holders; JSON has them all. */
const MAX_ROWS = 10;

/** `tuplewatch ports`: who holds local ports, towards where. */
export async function ports({ target, netns, protocol, json }: PortsOptions): Promise<void> {
  const query = new URLSearchParams({
    ...(netns !== undefined && { netns }),
    ...(protocol !== undefined && { protocol }),
  });
  const report = await new Api(target).getJson<PortReport>(`/ports?${query}`);
  const paint = painter(wantsColour(process.stdout, process.env));
  process.stdout.write(json ? `${JSON.stringify(report, undefined, 2)}\n` : asText(report, paint));
}

function asText(report: PortReport, paint: Paint): string {
  const { network_namespaces: all, left_out: leftOut, unreadable } = report;
  const lines = all.flatMap((one) => [...namespaceLines(one, paint), ""]);
  if (leftOut > 0) lines.push(`${leftOut} more namespaces; choose one with --netns`);
  for (const one of unreadable.slice(0, MAX_ROWS)) {
    lines.push(`${paint("bold", netnsText(one))}: cannot be looked into: ${printable(one.reason)}`);
  }
  if (unreadable.length > MAX_ROWS) lines.push(`and ${unreadable.length - MAX_ROWS} more of these`);
  if (lines.length === 0) return "no local port is in use\n";
  return `${lines.join("\n").trimEnd()}\n`;
}

function netnsText({
  name,
  cookie,
  inum,
}: Pick<NamespacePorts, "name" | "cookie" | "inum">): string {
  return printable(name ?? `network namespace ${cookie ?? inum}`);
}

function namespaceLines(one: NamespacePorts, paint: Paint): string[] {
  const { range, in_use: inUse, destinations, holders } = one;
  const use = (used: number) => {
    const part = used / Math.max(1, range.available);
    const text = `${used} of ${range.available} (${Math.round(100 * part)} %)`;
    return part >= 0.8 ? paint("red", text) : text;
  };
  return [
    `${paint("bold", netnsText(one))}: ports ${range.low}-${range.high}`,
    `  in use by TCP ${use(inUse.tcp)}, by UDP ${use(inUse.udp)}`,
    ...table(
      ["PORTS", "HOLDER"],
      holders.map((holder) => [String(holder.ports), printable(holderText(holder))]),
    ),
    ...table(
      ["PORTS", "TOWARDS"],
      destinations.map(({ protocol, peer, ports }) => [
        String(ports),
        `${protocol} ${endpoint(peer)}`,
      ]),
    ),
  ];
}

/** `time_wait, opened by crawler (100 processes)` */
function holderText({ process, processes, cgroup, without }: PortHolder): string {
  if (process === undefined) return without ?? "-";
  const named = processes === undefined ? process : { comm: process.comm };
  const [several] = amounts({ processes });
  const program = who({ process: named, cgroup }) + (several === undefined ? "" : ` (${several})`);
  return without === undefined ? program : `${without}, opened by ${program}`;
}

function table(head: string[], rows: readonly string[][]): string[] {
  if (rows.length === 0) return [];
  return columns([head, ...rows.slice(0, MAX_ROWS)]).map((line) => `  ${line}`);
}
