import { setTimeout as sleep } from "node:timers/promises";

const SETTLE_LIMIT_MS = 60_000;
const STAGES = ["attempted", "emitted", "lost", "filtered", "read", "delivered"] as const;

export type Stages = Readonly<Record<(typeof STAGES)[number] | "malformed", number>>;

export interface Account {
  /** By probe. */
  readonly probes: ReadonlyMap<string, Stages>;
  readonly appended: number;
}

/** All of it from one scrape, for probes that see others' traffic go on counting. */
async function account(url: string): Promise<Account> {
  const text = await (await fetch(`${url}/metrics`)).text();
  const read = (name: string) => Number(text.split(`\n${name} `)[1]?.split("\n")[0]);
  const probes = new Map<string, Stages>();
  for (const [, probe = ""] of text.matchAll(/^tuplewatch_events_read_total\{probe="(\w+)"\}/gm)) {
    const ofStage = (stage: string) => read(`tuplewatch_events_${stage}_total{probe="${probe}"}`);
    const counts = Object.fromEntries(STAGES.map((stage) => [stage, ofStage(stage)]));
    const malformed = read(`tuplewatch_events_dropped_total{probe="${probe}",stage="decode"}`);
    probes.set(probe, { ...counts, malformed } as Stages);
  }
  return { probes, appended: read("tuplewatch_journal_appended_total") };
}

/** What does not add up, if anything; NaN, where a metric is absent, adds up to nothing. */
function fault({ probes }: Account, connects: number): string | undefined {
  for (const [probe, counts] of probes) {
    const { attempted, emitted, lost, filtered, read, delivered, malformed } = counts;
    const sums =
      attempted === emitted + lost + filtered &&
      read === emitted &&
      read === delivered + malformed &&
      (probe !== "connect" || attempted === connects);
    if (!sums) return `${probe}: ${JSON.stringify({ ...counts, connects })}`;
  }
  return probes.has("connect") ? undefined : "no probe connect";
}

/**
 * The account once it balances: every connect() of the load was attempted, and whatever was
 * attempted is in one of the sums.
 * @throws Error with the counts if it does not within a minute
 */
export async function balanced(url: string, connects: number): Promise<Account> {
  const deadline = performance.now() + SETTLE_LIMIT_MS;
  for (;;) {
    const found = await account(url);
    const wrong = fault(found, connects);
    if (wrong === undefined) return found;
    if (performance.now() > deadline) throw new Error(`not accounted for: ${wrong}`);
    await sleep(200);
  }
}
