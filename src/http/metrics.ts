import { Counter, Gauge, type Registry } from "prom-client";
import type { Journal } from "../journal/journal.ts";
import type { CutReason } from "./connections.ts";

export type DropReason = "journal" | "slow_client";

const DROP_REASONS: readonly DropReason[] = ["journal", "slow_client"];

/** What the HTTP side tells about itself. */
export interface ServeMetrics {
  readonly requests: Counter<"route" | "code">;
  readonly clients: Gauge;
  readonly sent: Counter;
  readonly dropped: Counter<"reason">;
  /** Streams that were given to a client with fewer. */
  readonly displaced: Counter;
  /** Requests that found a limit, of all clients or of theirs. */
  readonly refused: Counter<"what" | "reason">;
  readonly acceptErrors: Counter;
  /** Connections that made room for others. */
  readonly cut: Counter<"reason">;
}

const REFUSALS = [
  { what: "metrics", reason: "full" },
  { what: "metrics", reason: "client_share" },
  { what: "ports", reason: "full" },
  { what: "ports", reason: "client_share" },
  { what: "stream", reason: "full" },
  { what: "stream", reason: "stopping" },
] as const;

const CUT_REASONS: readonly CutReason[] = ["descriptors", "no_request", "too_many"];

export function createServeMetrics(registry: Registry): ServeMetrics {
  const registers = [registry];
  const dropped = new Counter({
    name: "tuplewatch_stream_events_dropped_total",
    help: "Events that a stream client missed; it is told so by a gap event",
    labelNames: ["reason"],
    registers,
  });
  for (const reason of DROP_REASONS) {
    dropped.inc({ reason }, 0);
  }
  const refused = new Counter({
    name: "tuplewatch_http_refused_total",
    help: "Requests answered with 503 because a limit was reached, of all clients or of one's share",
    labelNames: ["what", "reason"],
    registers,
  });
  for (const labels of REFUSALS) refused.inc(labels, 0);
  const cut = new Counter({
    name: "tuplewatch_http_connections_cut_total",
    help: "Connections that were cut to make room for others",
    labelNames: ["reason"],
    registers,
  });
  for (const reason of CUT_REASONS) cut.inc({ reason }, 0);
  return {
    requests: new Counter({
      name: "tuplewatch_http_requests_total",
      help: "HTTP requests answered, streams when they end",
      labelNames: ["route", "code"],
      registers,
    }),
    clients: new Gauge({
      name: "tuplewatch_stream_clients",
      help: "Open event streams",
      registers,
    }),
    sent: new Counter({
      name: "tuplewatch_stream_events_sent_total",
      help: "Events written to stream clients, counted per client",
      registers,
    }),
    dropped,
    displaced: new Counter({
      name: "tuplewatch_stream_displaced_total",
      help: "Streams that the client with most of them lost to one with fewer",
      registers,
    }),
    refused,
    acceptErrors: new Counter({
      name: "tuplewatch_http_accept_errors_total",
      help: "Failed attempts to accept a connection, mostly for want of descriptors",
      registers,
    }),
    cut,
  };
}

export function registerConnections(registry: Registry, connections: { readonly open: number }) {
  new Gauge({
    name: "tuplewatch_http_connections",
    help: "Open connections",
    registers: [registry],
    collect() {
      this.set(connections.open);
    },
  });
}

/** Read at scrape from the journal itself, so that nothing is counted twice. */
export function registerJournalMetrics(registry: Registry, journal: Journal): void {
  const registers = [registry];
  new Gauge({
    name: "tuplewatch_journal_events",
    help: "Events held for replay",
    registers,
    collect() {
      this.set(journal.stats().events);
    },
  });
  new Gauge({
    name: "tuplewatch_journal_bytes",
    help: "Memory of the event batches held for replay",
    registers,
    collect() {
      this.set(journal.stats().bytes);
    },
  });
  new Gauge({
    name: "tuplewatch_journal_view_bytes",
    help: "Memory of decoded events and encoded lines shared by readers",
    registers,
    collect() {
      this.set(journal.stats().viewBytes);
    },
  });
  registerTotal(registry, "appended", "Events put into the journal", () => {
    return journal.stats().appendedEvents;
  });
  registerTotal(registry, "evicted", "Events that left the journal to keep it bounded", () => {
    return journal.stats().evictedEvents;
  });
}

export function registerBuildInfo(registry: Registry, version: string): void {
  const gauge = new Gauge({
    name: "tuplewatch_build_info",
    help: "Constant 1; the labels tell what runs",
    labelNames: ["version", "node_version"],
    registers: [registry],
  });
  gauge.set({ version, node_version: process.version }, 1);
}

function registerTotal(registry: Registry, what: string, help: string, read: () => number): void {
  new Counter({
    name: `tuplewatch_journal_${what}_total`,
    help,
    registers: [registry],
    collect() {
      this.reset();
      this.inc(read());
    },
  });
}
