import { setTimeout as sleep } from "node:timers/promises";
import type { FindingJson } from "../../src/findings/finding.ts";
import { getStatus } from "../support/api.ts";
import { type ParsedEvent, parseNdjson } from "../support/events.ts";
import { fetchAgain } from "../support/fetch.ts";
import { isOfMarker, passMarker } from "../support/marker.ts";
import type { Scenario } from "./catalog.ts";
import { type Again, type Played, type PlayOptions, play } from "./play.ts";

/** How long to wait for a finding: far longer than it takes on the slowest machine. */
const LATEST_MS = 60_000;
const LOOK_MS = 100;

/** A finding as it was on the stream when it opened. */
export interface Opened extends FindingJson {
  readonly seq: number;
}

/** What a daemon made of a scenario. */
export interface Incident {
  readonly played: Played;
  readonly again: Again;
  /** All findings that opened meanwhile, in their order. */
  readonly opened: readonly Opened[];
  /** Its events that match. */
  readonly events: (query: Readonly<Record<string, string>>) => Promise<readonly ParsedEvent[]>;
  /** The event of it with this seq. */
  readonly event: (seq: number) => Promise<ParsedEvent>;
}

/**
 * Plays a scenario for the daemon at `url`. `whileUp` is called once as many findings opened as
 * there must be, or that took too long, and whatever the daemon had still to conclude is concluded.
 */
export async function observe<T>(
  url: string,
  scenario: Scenario,
  whileUp: (incident: Incident) => Promise<T>,
  options: PlayOptions = {},
): Promise<T> {
  const since = (await getStatus(url)).journal.next_seq - 1;
  const startedAt = new Date().toISOString();
  const events: Incident["events"] = (query) => eventsSince(url, since, query);
  const opened = async () =>
    openedSince(
      since,
      startedAt,
      (await events({ type: "finding" })) as unknown as Opened[],
    ).filter(({ kind }) => !isForecast(kind, scenario));
  const event = async (seq: number) => {
    const [found] = seq > since ? await eventsSince(url, seq - 1, { limit: "1" }) : [];
    if (found?.seq !== seq)
      throw new Error(`event ${seq} is not of the scenario, from ${since} on`);
    return found;
  };
  return play(
    scenario,
    async (played, again) => {
      const deadlineMs = Date.now() + LATEST_MS;
      while ((await opened()).length < scenario.findings.length && Date.now() < deadlineMs) {
        await sleep(LOOK_MS);
      }
      await passMarker(url);
      return whileUp({ played, again, opened: await opened(), events, event });
    },
    options,
  );
}

/** Whether ports are counted just before they are used up is chance; then that is told, too. */
function isForecast(kind: Opened["kind"], { findings }: Scenario): boolean {
  return kind === "local_ports_low" && findings.length > 0 && !findings.includes(kind);
}

/** The first event of each; one that rests on earlier events, or began before, only changed or closed meanwhile. */
function openedSince(since: number, startedAt: string, findings: readonly Opened[]): Opened[] {
  const ids = new Set<string>();
  return findings.filter((finding) => {
    const isFirst = !ids.has(finding.id);
    ids.add(finding.id);
    const [first] = finding.evidence;
    const isNew = first === undefined ? finding.first_seen > startedAt : first > since;
    return isFirst && isNew && !isOfMarker(finding);
  });
}

async function eventsSince(
  url: string,
  since: number,
  query: Readonly<Record<string, string>>,
): Promise<ParsedEvent[]> {
  const search = new URLSearchParams({ ...query, since: String(since), follow: "false" });
  const response = await fetchAgain(`${url}/events?${search}`);
  const text = await response.text();
  if (response.status !== 200) throw new Error(`/events?${search}: ${text}`);
  return parseNdjson(text);
}
