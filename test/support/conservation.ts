import assert from "node:assert/strict";
import { setTimeout as sleep } from "node:timers/promises";
import { scrape } from "./feed.ts";

const SETTLE_LIMIT_MS = 60_000;
const STAGES = ["attempted", "emitted", "lost", "filtered", "read", "delivered"] as const;

/** Where the records of a probe went. */
export type Stages = Readonly<Record<(typeof STAGES)[number] | "malformed", number>>;

export interface Account {
  /** By probe. */
  readonly probes: ReadonlyMap<string, Stages>;
  /** Events that went into the journal, findings among them. */
  readonly appended: number;
}

/** All of it from one scrape, for probes that see others' traffic go on counting. */
export async function accountOf(url: string): Promise<Account> {
  const metrics = await scrape(url);
  const dropped = metrics("tuplewatch_events_dropped_total");
  const counts = STAGES.map(
    (stage) => [stage, metrics(`tuplewatch_events_${stage}_total`)] as const,
  );
  const probes = new Map<string, Stages>();
  for (const labels of metrics("tuplewatch_events_read_total").keys()) {
    const probe = /probe="(\w+)"/.exec(labels)?.[1] ?? "";
    const stages = counts.map(([stage, values]) => [stage, values.get(labels) ?? Number.NaN]);
    const malformed = dropped.get(`{probe="${probe}",stage="decode"}`) ?? Number.NaN;
    probes.set(probe, { ...Object.fromEntries(stages), malformed } as Stages);
  }
  const appended = metrics("tuplewatch_journal_appended_total").get("") ?? Number.NaN;
  return { probes, appended };
}

/** Whether all adds up; NaN, where a metric is absent, adds up to nothing. */
function isBalanced(stages: Stages): boolean {
  const { attempted, emitted, lost, filtered, read, delivered, malformed } = stages;
  return (
    attempted === emitted + lost + filtered && read === emitted && read === delivered + malformed
  );
}

/** Fails if a record of the probe is unaccounted for. */
export function assertBalanced(probe: string, stages?: Stages): asserts stages is Stages {
  assert.ok(stages && isBalanced(stages), `${probe}: ${JSON.stringify(stages)}`);
}

/** Where a probe's records went; fails if one is unaccounted for. */
export async function conservation(url: string, probe: string): Promise<Stages> {
  const stages = (await accountOf(url)).probes.get(probe);
  assertBalanced(probe, stages);
  return stages;
}

/**
 * The account once it balances, and every connect() of the load was attempted.
 * @throws Error with the counts if it does not within a minute
 */
export async function balanced(url: string, connects: number): Promise<Account> {
  const deadline = performance.now() + SETTLE_LIMIT_MS;
  for (;;) {
    const account = await accountOf(url);
    const wrong = [...account.probes].find(([, stages]) => !isBalanced(stages));
    if (wrong === undefined && account.probes.get("connect")?.attempted === connects) {
      return account;
    }
    if (performance.now() > deadline) {
      const found = JSON.stringify([...account.probes]);
      throw new Error(`not accounted for, of ${connects} connects: ${found}`);
    }
    await sleep(200);
  }
}
