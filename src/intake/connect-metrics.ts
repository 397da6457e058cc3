import { Counter, type Registry } from "prom-client";
import { RECORDS } from "../events/events.gen.ts";
import { enumName, protocolName, resultName } from "../events/fields.ts";
import { BUCKETS_SECONDS, type ConnectTally } from "../probes/connect_tally.ts";
import { combinations } from "../util/init-series.ts";
import { type HistogramSeries, ReadHistogram } from "../util/read-histogram.ts";
import { setCounter } from "../util/set-counter.ts";
import { NS_PER_SECOND } from "../util/units.ts";

/** Asked at each scrape. */
type TallySource = () => Promise<readonly ConnectTally[]>;

/** Without a free local port, TCP and UDP; their series are there before the first one. */
const NO_PORT_RESULTS = ["EADDRNOTAVAIL", "EAGAIN"];

const PROTOCOLS = ["tcp", "udp"];
const TECHNIQUES = RECORDS.connect.enums.technique;

/** What the kernel has counted of connects, whether they became events or not. */
export function registerConnectMetrics(registry: Registry, tallies: TallySource): void {
  registerResults(registry, tallies);
  registerAmount(registry, tallies, {
    name: "tuplewatch_connect_syn_retransmits_total",
    help: "SYNs that connect() attempts had to send again.",
    field: "synRetransmits",
  });
  registerAmount(registry, tallies, {
    name: "tuplewatch_connect_conflicts_total",
    help: "UDP sockets that connected to a 4-tuple another socket was connected to.",
    field: "conflicts",
  });
  registerDurations(registry, tallies);
}

const connects = ({ buckets }: ConnectTally) => buckets.reduce((sum, count) => sum + count, 0);

function registerResults(registry: Registry, tallies: TallySource): void {
  const initial = combinations({
    protocol: PROTOCOLS,
    result: ["ok", ...NO_PORT_RESULTS],
    technique: Object.values(TECHNIQUES),
  });
  new Counter({
    name: "tuplewatch_connect_events_total",
    help: "connect() attempts by result (ok or errno) and by how the local port came about.",
    labelNames: ["protocol", "result", "technique"],
    registers: [registry],
    async collect() {
      for (const labels of initial) this.inc(labels, 0);
      for (const tally of await tallies()) {
        const labels = {
          protocol: protocolName(tally.protocol),
          result: resultName(tally.error),
          technique: enumName(TECHNIQUES, tally.technique),
        };
        setCounter(this, labels, connects(tally));
      }
    },
  });
}

interface Amount {
  readonly name: string;
  readonly help: string;
  readonly field: "synRetransmits" | "conflicts";
}

function registerAmount(registry: Registry, tallies: TallySource, amount: Amount): void {
  const { name, help, field } = amount;
  new Counter({
    name,
    help,
    registers: [registry],
    async collect() {
      setCounter(
        this,
        {},
        (await tallies()).reduce((sum, tally) => sum + tally[field], 0),
      );
    },
  });
}

function registerDurations(registry: Registry, tallies: TallySource): void {
  new ReadHistogram({
    name: "tuplewatch_connect_duration_seconds",
    help: "Time from the call of connect() to its result.",
    labelNames: ["protocol", "outcome"],
    bounds: BUCKETS_SECONDS,
    registry,
    read: async () => {
      const found = await tallies();
      return combinations({ protocol: PROTOCOLS, outcome: ["ok", "failed"] }).map((labels) =>
        durations(found, labels),
      );
    },
  });
}

function durations(
  tallies: readonly ConnectTally[],
  labels: Readonly<Record<string, string>>,
): HistogramSeries {
  const counts = new Array<number>(BUCKETS_SECONDS.length + 1).fill(0);
  let sumNs = 0;
  for (const { protocol, error, buckets, durationNs } of tallies) {
    const outcome = error === 0 ? "ok" : "failed";
    if (protocolName(protocol) !== labels.protocol || outcome !== labels.outcome) continue;
    sumNs += durationNs;
    for (const [index, count] of buckets.entries()) counts[index] = (counts[index] ?? 0) + count;
  }
  return { labels, counts, sum: sumNs / NS_PER_SECOND };
}
