import { closeSync, existsSync, openSync } from "node:fs";
import { release } from "node:os";
import { BpfError, libbpfVersion } from "libbpf-ts";
import { ProbeRun } from "../attach/probe-run.ts";
import { SharedMaps } from "../attach/shared-maps.ts";
import { findCgroup2Mount } from "../kernel/cgroup2.ts";
import type { Backend, Probe } from "../probes/probe.ts";
import { PROBES } from "../probes/probes.ts";
import type { BackendReport, CheckReport, ProbeReport } from "./report.ts";

/** The smallest ring that every kernel and page size takes. */
const RING_BYTES = 64 * 1024;

/** Tries each backend of each probe on the running kernel: loads, attaches and detaches it. */
export async function checkKernel(): Promise<CheckReport> {
  const libbpf = tryLibrary();
  const mount = findCgroup2Mount();
  const cgroupFd = mount === undefined ? undefined : openSync(mount, "r");
  try {
    return {
      kernel: release(),
      arch: process.arch,
      node: process.version,
      ...("version" in libbpf && { libbpf: libbpf.version }),
      probes: PROBES.map((probe) => checkProbe(probe, cgroupFd)),
      facts: [
        ...("reason" in libbpf ? [{ name: "libbpf missing", value: libbpf.reason }] : []),
        { name: "user", value: process.geteuid?.() === 0 ? "root" : "not root" },
        { name: "cgroup2", value: mount ?? "not mounted" },
        { name: "kernel BTF", value: presence("/sys/kernel/btf/vmlinux") },
        { name: "conntrack", value: conntrack() },
      ],
    };
  } finally {
    if (cgroupFd !== undefined) closeSync(cgroupFd);
  }
}

function checkProbe(probe: Probe, cgroupFd: number | undefined): ProbeReport {
  const backends = probe.backends.map((backend) => checkBackend(probe, backend, cgroupFd));
  const chosen = backends.find(({ available }) => available)?.backend;
  return { probe: probe.name, backends, ...(chosen !== undefined && { chosen }) };
}

function checkBackend(probe: Probe, backend: Backend, cgroupFd: number | undefined): BackendReport {
  const { available, reason } = attachForAMoment(probe, backend, cgroupFd);
  return { backend: backend.name, available, ...(reason !== undefined && { reason }) };
}

function attachForAMoment(
  probe: Probe,
  backend: Backend,
  cgroupFd: number | undefined,
): Omit<BackendReport, "backend"> {
  const shared = new SharedMaps();
  const run = new ProbeRun(probe, {
    backends: [backend],
    settings: { cgroupFd, shared, globals: {} },
    ringBytes: RING_BYTES,
    onError: () => {},
  });
  try {
    run.attach();
    const reason = run.rejected[0]?.reason;
    return run.attached === undefined
      ? { available: false, reason: reason ?? "unknown" }
      : { available: true, ...(reason !== undefined && { reason }) };
  } finally {
    run.close();
    shared.close();
  }
}

function tryLibrary(): { version: string } | { reason: string } {
  try {
    return { version: libbpfVersion() };
  } catch (error) {
    if (error instanceof BpfError) return { reason: error.message };
    throw error;
  }
}

function presence(path: string): string {
  return existsSync(path) ? path : `absent (${path})`;
}

function conntrack(): string {
  return existsSync("/proc/sys/net/netfilter/nf_conntrack_max") ? "loaded" : "not loaded";
}
