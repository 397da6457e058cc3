import { findNamespaces, type NetworkNamespace } from "../../src/kernel/namespaces.ts";
import type { Running } from "./commands.ts";
import { FAULTS, type Netns } from "./netns.ts";
import { until } from "./until.ts";

/** Sockets of test/faults/ports.py, for as long as its process lives. */
export interface HeldPorts {
  readonly pid: number;
  /** Those that its sockets told; sockets of several peers may be on one. */
  readonly ports: Readonly<Record<"tcp" | "udp" | "time_wait" | "orphaned", readonly number[]>>;
  end(): Promise<void>;
}

/** Makes sockets in a namespace: `{ tcp: 30, time_wait: 6 }`. */
export async function holdPorts(
  netns: Netns,
  steps: Readonly<Record<string, number>>,
): Promise<HeldPorts> {
  const args = Object.entries(steps).map(([step, count]) => `${step}=${count}`);
  const running = netns.spawn("python3", `${FAULTS}ports.py`, ...args);
  const isThere = () => running.stdout().endsWith("\n") || running.child.exitCode !== null;
  await until(isThere, "ports.py", 40_000);
  if (running.child.exitCode !== null) throw new Error(`ports.py ended: ${running.stderr()}`);
  const told = JSON.parse(running.stdout()) as Pick<HeldPorts, "pid" | "ports">;
  return { ...told, end: () => end(running) };
}

async function end({ child, done }: Running): Promise<void> {
  child.kill("SIGTERM");
  await done;
}

/** The namespace as the daemon finds it. */
export async function find(netns: Netns): Promise<NetworkNamespace> {
  const { namespaces } = await findNamespaces();
  const found = namespaces.find(({ inum }) => inum === netns.inum);
  if (found === undefined) throw new Error(`namespace ${netns.name} is not found`);
  return found;
}
