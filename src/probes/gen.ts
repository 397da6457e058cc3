import { readFileSync, writeFileSync } from "node:fs";
import { fileURLToPath } from "node:url";
import { Btf, generateLayouts } from "libbpf-ts";

/** Fields that aggregation reads from every record; the other ones are decoded on demand. */
const COLUMNS = {
  connect_event: [
    "head.cgroup_id",
    "head.process.pid",
    "head.netns_inum",
    "duration_ns",
    "error",
    "protocol",
    "technique",
    "syn_retransmits",
    "has_conflict",
    "family",
    "conflict_process.pid",
  ],
  challenge_ack_event: ["head.cgroup_id", "head.process.pid", "head.netns_inum", "trigger", "sent"],
  challenge_outcome_event: ["head.cgroup_id", "head.process.pid", "head.netns_inum", "outcome"],
  conntrack_insert_failed_event: [
    "head.cgroup_id",
    "head.process.pid",
    "head.netns_inum",
    "protocol",
    "nat",
    "verdict",
    "cause",
    "owner.cgroup_id",
    "owner.process.pid",
    "owner.netns_inum",
    "winner_owner.cgroup_id",
    "winner_owner.process.pid",
    "winner_owner.netns_inum",
  ],
  flow_retry_event: [
    "head.cgroup_id",
    "head.process.pid",
    "head.netns_inum",
    "delay_ns",
    "protocol",
  ],
  stale_flow_reuse_event: [
    "head.cgroup_id",
    "head.process.pid",
    "head.netns_inum",
    "nat",
    "redirected",
    "old_owner.cgroup_id",
    "old_owner.process.pid",
    "old_owner.netns_inum",
  ],
} as const;

const ENUMS = [
  "event_type",
  "attribution",
  "inferred",
  "technique",
  "trigger",
  "sent",
  "outcome",
  "verdict",
  "cause",
  "nat",
];

const ROOT = new URL("../../../", import.meta.url);
const TARGET = fileURLToPath(new URL("src/probes/events.gen.ts", ROOT));

/** `npm run gen`: writes events.gen.ts from the BTF of bpf/events.h; with --check only compares. */
function main(args: readonly string[]): number {
  const object = fileURLToPath(new URL("build/bpf/events.bpf.o", ROOT));
  const text = generateLayouts(
    Btf.fromObject(readFileSync(object), "events.bpf.o"),
    Object.keys(COLUMNS),
    {
      source: "bpf/events.h",
      enums: ENUMS,
      columns: COLUMNS,
    },
  );
  if (!args.includes("--check")) {
    writeFileSync(TARGET, text);
    return 0;
  }
  if (readFileSync(TARGET, "utf8") === text) return 0;
  process.stderr.write("src/probes/events.gen.ts is stale: run `npm run gen`\n");
  return 1;
}

process.exitCode = main(process.argv.slice(2));
