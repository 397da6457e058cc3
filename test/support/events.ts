import type { TuplewatchEvent } from "../../src/events/event.ts";
import { ObjectBatch } from "../../src/journal/batch.ts";
import { checkEvent } from "./documented.ts";

/** A connect event as the probe describes it, with every field that a filter looks at. */
export function connectEvent(port: number, more: object = {}): Omit<TuplewatchEvent, "seq"> {
  return {
    time: "2026-01-02T03:04:05.000000006Z",
    type: "connect",
    probe: "connect",
    backend: "fentry",
    cpu: 0,
    netns: { cookie: "4711", inum: 4026531840, name: "web" },
    attribution: "current",
    process: { pid: 1234, comm: "curl", uid: 1000 },
    socket_cookie: "90417",
    protocol: "tcp",
    family: "ipv6",
    local: { address: "10.0.0.1", port },
    peer: { address: "2001:db8::5", port: 443 },
    result: "ok",
    duration_ns: 24_816,
    syn_retransmits: 0,
    technique: "plain",
    ...more,
  };
}

/** `count` connect events; the local ports count from 1 and wrap. */
export function connectBatch(count: number, more: object = {}): ObjectBatch {
  const events = Array.from({ length: count }, (_, i) => connectEvent((i % 65535) + 1, more));
  return new ObjectBatch("connect", events);
}

export interface ParsedEvent {
  readonly seq?: number;
  readonly type: string;
  readonly missed?: number;
  readonly where?: string;
  readonly from_seq?: number;
  readonly to_seq?: number;
  readonly [field: string]: unknown;
}

/**
 * The events of an NDJSON text; every line must be whole, and as its schema has it. Heartbeats are
 * left out.
 */
export function parseNdjson(text: string): ParsedEvent[] {
  return text
    .split("\n")
    .filter((line) => line !== "")
    .map(parseEvent);
}

/** @throws Error if it is not just as documented */
export function parseEvent(line: string): ParsedEvent {
  const event = JSON.parse(line) as ParsedEvent;
  checkEvent(event);
  return event;
}

/** Fails unless what came and what a gap reported is each seq from `first` to `last` once. */
export function accountedFor(events: readonly ParsedEvent[], first: number): number {
  let next = first;
  for (const event of events) {
    const start = event.seq ?? event.from_seq;
    if (start === undefined) {
      continue;
    }
    if (start !== next) {
      throw new Error(`expected seq ${next}, got ${JSON.stringify(event)}`);
    }
    next += event.seq === undefined ? (event.missed ?? 0) : 1;
  }
  return next - 1;
}
