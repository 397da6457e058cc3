import type { BACKEND_NAMES } from "../../src/config/options.ts";
import type { Backend } from "../../src/probes/probe.ts";
import { PROBES } from "../../src/probes/probes.ts";
import { code, table } from "./markdown.ts";

type BackendName = (typeof BACKEND_NAMES)[number];

/** How each backend hooks the kernel, whatever the probe. */
const MECHANISMS: Readonly<Record<BackendName, string>> = {
  fentry: "BPF trampolines at the entry and the return of kernel functions",
  kprobe: "breakpoints at the entry and the return of kernel functions",
  drop_tracepoint: "the tracepoint of dropped packets (`kfree_skb`), with the reason of the drop",
  syscall_tracepoint:
    "the tracepoints of the system call, for its result; needs no trampolines, and no mounted tracefs",
  tcp_state: "the tracepoint of TCP's states (`inet_sock_set_state`) alone",
  counters: "attaches nothing: the kernel's own counters, which are collected with any backend",
};

export function mechanismTable(): string {
  return table(
    ["backend", "what it hooks"],
    Object.entries(MECHANISMS).map(([name, text]) => [code(name), text]),
  );
}

/** The backends of each probe, best first. */
export function backendTable(): string {
  const rows = PROBES.flatMap(({ name, backends }) =>
    backends.map((backend, index) => [
      index === 0 ? code(name) : "",
      code(backend.name),
      needs(backend),
      backend.blindTo ?? "",
    ]),
  );
  return table(["probe", "backend", "kernel", "what it cannot know"], rows);
}

function needs({ name, module, sinceKernel }: Backend): string {
  if (module === undefined) return sinceKernel;
  return `${sinceKernel}; module ${code(module)}${name === "fentry" ? " with BTF" : ""}`;
}

/** One row for each probe; `page` is the path of the reference of events. */
export function signalTable(page: string): string {
  return table(
    ["signal", "the kernel's moment", "what it explains"],
    PROBES.map(({ name, signal, recordTypes: [{ eventType }] }) => [
      `[${code(name)}](${page}#${eventType})`,
      signal.moment,
      signal.explains,
    ]),
  );
}
