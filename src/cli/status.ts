import type { ProbeStatus, Status } from "../http/openapi/status.schema.ts";
import { printable } from "../util/text.ts";
import { Api, type Target } from "./api.ts";
import { columns, type Paint, painter, wantsColour } from "./style.ts";

export interface StatusOptions {
  readonly target: Target;
  readonly json: boolean;
}

/** `tuplewatch status`: exit status 1 when the daemon is not ready. */
export async function status({ target, json }: StatusOptions): Promise<void> {
  const body = await new Api(target).getJson<Status>("/status");
  const paint = painter(wantsColour(process.stdout, process.env));
  process.stdout.write(json ? `${JSON.stringify(body, undefined, 2)}\n` : asText(body, paint));
  process.exitCode = body.ready.ok ? 0 : 1;
}

function asText(body: Status, paint: Paint): string {
  const { journal, kernel, ready, stream_clients: clients, connect_events: connects } = body;
  const state = ready.ok ? paint("green", "ready") : paint("red", `not ready: ${ready.reason}`);
  const lines = [
    `tuplewatch ${body.version}, up ${body.uptime_seconds} s, ${state}`,
    `journal: ${journal.events} events, seq ${journal.oldest_seq} to ${journal.next_seq - 1}; ` +
      `${clients} stream${clients === 1 ? "" : "s"}`,
  ];
  if (connects.ordinary === "counted") {
    const setting = `--connect-events ${connects.setting}`;
    lines.push(`connects that went as they should are counted, not events (${setting})`);
  }
  for (const { probe, reason } of ready.blind ?? []) {
    lines.push(paint("yellow", printable(`${probe} is blind: ${reason}`)));
  }
  if (kernel === null) return `${lines.join("\n")}\n`;
  lines.push(`kernel ${kernel.release}`, "");
  lines.push(...columns([HEAD, ...kernel.probes.map(row)]));
  for (const { probe, backend: attached, passed_over: rejected } of kernel.probes) {
    for (const { backend, reason } of rejected) {
      const not = backend === attached ? "not the best of" : "not";
      lines.push(paint("dim", `${probe}: ${not} ${backend}: ${reason}`));
    }
  }
  return `${lines.join("\n")}\n`;
}

const HEAD = ["PROBE", "BACKEND", "ATTEMPTED", "DELIVERED", "LOST", "FILTERED"];

function row({ probe, backend, attempted, delivered, lost, filtered }: ProbeStatus): string[] {
  const counts = [attempted, delivered, lost, filtered].map((count) => String(count));
  return [probe, backend ?? "not attached", ...counts];
}
