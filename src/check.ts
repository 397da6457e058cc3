import { existsSync } from "node:fs";
import { release } from "node:os";
import type { CheckReport } from "./cli/report.ts";
import { findCgroup2Mount } from "./config/cgroup.ts";

/** What can be told about the machine without loading anything into its kernel. */
export async function checkKernel(): Promise<CheckReport> {
  return {
    kernel: release(),
    arch: process.arch,
    node: process.version,
    probes: [],
    facts: [
      { name: "cgroup2", value: findCgroup2Mount() ?? "not mounted" },
      { name: "kernel BTF", value: presence("/sys/kernel/btf/vmlinux") },
      { name: "conntrack BTF", value: presence("/sys/kernel/btf/nf_conntrack") },
    ],
  };
}

function presence(path: string): string {
  return existsSync(path) ? path : `absent (${path})`;
}
