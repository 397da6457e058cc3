import { printable } from "../util/text.ts";
import type { Party } from "./finding.ts";
import { processText } from "./format.ts";
import { MAX_PIDS } from "./merge.ts";

/** The party of that role with the most failures, or else ports; of several the first. */
export function most(parties: readonly Party[], role: string): Party | undefined {
  return parties.filter((party) => party.role === role).sort(heavierFirst)[0];
}

/** For sort(). */
export function heavierFirst(one: Party, other: Party): number {
  return (other.failures ?? 0) - (one.failures ?? 0) || (other.ports ?? 0) - (one.ports ?? 0);
}

/** `crawler (pid 812)`, `fpm-worker (7 processes)`, or what stands for it. */
export function partyText(party: Party | undefined, unknown: string): string {
  const { process, processes } = party ?? {};
  if (process?.comm === undefined || processes === undefined) {
    return processText(party ?? {}, unknown);
  }
  const many = processes === MAX_PIDS ? `${processes} or more` : String(processes);
  return `${printable(process.comm)} (${many} processes)`;
}

/** Who has most of that role, and whether it has it alone. */
export function blamedText(parties: readonly Party[], role: string, unknown: string): string {
  const first = most(parties, role);
  const isOther = (party: Party) => party !== first && party.role === role && hasAny(party);
  return `${partyText(first, unknown)}${parties.some(isOther) ? " and others" : ""}`;
}

function hasAny({ failures = 0, ports = 0 }: Party): boolean {
  return failures + ports > 0;
}
