import { readFileSync } from "node:fs";
import type { AttachedProbe, RejectedBackend } from "./attach.ts";
import { type KernelCounters, NO_EVENTS } from "./counters.ts";

export const BLIND_CAUSES = ["not_attached", "detached", "lost", "rate_limited"] as const;

/** Why a probe does not see what it is there for. */
export interface Blindness {
  readonly cause: (typeof BLIND_CAUSES)[number];
  /** In words, with numbers. */
  readonly reason: string;
}

/** Of the last ten seconds, looked at once a second. */
const WINDOW_LOOKS = 10;
/** A probe that tells less than half of what happens is blind; a few events make no statement. */
const MIN_EVENTS = 100;
const MAX_SHARE = 0.5;

const KPROBES = "/sys/kernel/debug/kprobes/enabled";

/** Watches over one probe whether what it sees arrives. */
export class Sight {
  readonly #looks: KernelCounters[] = [NO_EVENTS];
  #blindness: Blindness | undefined;

  get blindness(): Blindness | undefined {
    return this.#blindness;
  }

  /** Called about once a second. `counters`: of all backends that the probe has had. */
  look(attached: AttachedProbe, counters: KernelCounters): void {
    this.#looks.push(counters);
    if (this.#looks.length > WINDOW_LOOKS + 1) this.#looks.shift();
    const [before = counters] = this.#looks;
    this.#blindness = detachment(attached) ?? overload(before, counters);
  }
}

export function notAttached(rejected: readonly RejectedBackend[]): Blindness {
  const reasons = rejected.map(({ backend, reason }) => `${backend}: ${reason}`);
  return { cause: "not_attached", reason: reasons.join("; ") || "no backend is wanted" };
}

/**
 * Another process with the rights may end what hangs on a cgroup, or switch kprobes off; links of
 * tracing have neither a detach nor an update (bpf_tracing_link_lops, 5.10 to 7.2).
 */
function detachment({ links, object, backend }: AttachedProbe): Blindness | undefined {
  for (const link of links) {
    if (!backend.cgroupPrograms?.includes(link.name)) continue;
    const info = link.info();
    if (info === undefined) continue;
    if (!info.attached) return detached(`another process has detached ${link.name}`);
    const own = object.programs.get(link.name)?.info().id;
    if (info.programId !== own) return detached(`another process has replaced ${link.name}`);
  }
  const usesKprobes = (backend.kprobes ?? []).length > 0;
  return usesKprobes && kprobesAreOff()
    ? detached(`kprobes are switched off: ${KPROBES}`)
    : undefined;
}

function detached(reason: string): Blindness {
  return { cause: "detached", reason };
}

function kprobesAreOff(): boolean {
  try {
    return readFileSync(KPROBES, "utf8").startsWith("0");
  } catch {
    return false; // debugfs is not mounted: nobody can switch them off there either
  }
}

function overload(before: KernelCounters, now: KernelCounters): Blindness | undefined {
  const attempted = now.attempted - before.attempted;
  const lost = now.lost - before.lost;
  const rateLimited = now.rateLimited - before.rateLimited;
  if (attempted < MIN_EVENTS || lost + rateLimited < MAX_SHARE * attempted) return undefined;
  const of = `of ${attempted} events in the last ${WINDOW_LOOKS} s`;
  return lost >= rateLimited
    ? { cause: "lost", reason: `${lost} ${of} were lost: the ring or a map was full` }
    : { cause: "rate_limited", reason: `${rateLimited} ${of} were above --max-events-per-second` };
}
