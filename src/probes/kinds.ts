import type { RecordViews } from "libbpf-ts";
import { eventHeadLayout } from "./events.gen.ts";
import type { Probe, RecordKind } from "./probe.ts";

const TYPE_OFFSET = eventHeadLayout.fields.find(({ name }) => name === "type")?.offset ?? 0;

/** All kinds of records that a probe sends, its own first. */
export function kindsOf(probe: Probe): readonly RecordKind[] {
  return [probe, ...(probe.secondary ?? [])];
}

/** The kind of the record at byte `at`: by the type in its head, where there is a choice. */
export function kindAt(probe: Probe, views: RecordViews, at: number): RecordKind {
  if (probe.secondary === undefined) return probe;
  const type = views.u16[(at + TYPE_OFFSET) >> 1];
  return probe.secondary.find(({ eventType }) => eventType === type) ?? probe;
}
