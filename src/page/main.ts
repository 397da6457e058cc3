import type { TuplewatchEvent } from "../events/event.ts";
import type { FindingJson } from "../findings/finding.ts";
import type { Status } from "../http/openapi/status.schema.ts";
import { getJson } from "./api.ts";
import { byId, setText } from "./dom.ts";
import { Events } from "./events.ts";
import { Feed } from "./feed.ts";
import { Findings } from "./findings.ts";
import { Probes } from "./probes.ts";
import { Rates } from "./rates.ts";

/** Events are put into the list together: at thousands a second each alone would cost too much. */
const FLUSH_MS = 500;

/** Counts of incidents, and of the probes, that no event tells of. */
const REFRESH_MS = 10_000;

const findings = new Findings(byId("findings"));
const rates = new Rates(byId("rates"));
const probes = new Probes(byId("about"), byId("probes"));
const events = new Events(byId("events"));
const connection = byId("connection");
let isLive = false;

const feed = new Feed({
  restarted: () => events.clear(),
  status: (status) => {
    probes.show(status);
    void readFindings().catch(showUnanswered);
  },
  event: (event, happenedNow) => {
    if (event.type === "finding" && happenedNow) findings.update(asFinding(event));
    if (event.type !== "gap" && happenedNow) rates.count(event.type);
    events.take(event);
  },
  connection: (state, words) => {
    isLive = state === "live";
    connection.className = state;
    setText(connection, words);
  },
});

/** An event of this type is a finding, with seq and type (openapi.json, FindingEvent). */
function asFinding(event: TuplewatchEvent): FindingJson {
  return event as unknown as FindingJson;
}

async function readFindings(): Promise<void> {
  const body = await getJson<{ findings: FindingJson[] }>("findings");
  findings.replace(body.findings);
}

async function refresh(): Promise<void> {
  if (!isLive || document.hidden) return;
  try {
    probes.show(await getJson<Status>("status"));
    await readFindings();
    if (isLive) setText(connection, "live");
  } catch (error) {
    showUnanswered(error);
  }
}

function showUnanswered(error: unknown): void {
  setText(connection, `not up to date: ${error instanceof Error ? error.message : error}`);
}

setInterval(() => {
  if (!document.hidden) events.flush();
}, FLUSH_MS);
setInterval(() => rates.tick(isLive), 1000);
setInterval(() => void refresh(), REFRESH_MS);
document.addEventListener("visibilitychange", () => void refresh());
void feed.open();
