import { createInterface } from "node:readline";
import { setTimeout as sleep } from "node:timers/promises";
import type { TuplewatchEvent } from "../events/event.ts";
import { describe, who } from "../events/line.ts";
import type { Status } from "../http/openapi/status.schema.ts";
import { printable } from "../util/text.ts";
import { Api, ApiError, type Target } from "./api.ts";
import { type Paint, painter, wantsColour } from "./style.ts";

export interface TailOptions {
  readonly target: Target;
  /** Filters of /events, by key. */
  readonly filters: readonly (readonly [key: string, value: string])[];
  readonly since?: string | undefined;
  readonly limit?: number | undefined;
  readonly follow: boolean;
  readonly json: boolean;
}

const BUSY = 503;

/** A daemon that restarts is back by then, mostly. */
const RETRY_MS = 1000;

/** `tuplewatch tail`: writes events until there are enough, or until it is interrupted. */
export async function tail(options: TailOptions): Promise<void> {
  const api = new Api(options.target);
  const paint = painter(wantsColour(process.stdout, process.env));
  const place = { since: options.since, left: options.limit };
  await tellUnseen(api, options);
  await stream(api, options, place, paint);
  while (options.follow && place.left !== 0) {
    process.stderr.write("tuplewatch: the stream has ended; connecting again\n");
    await reconnect(api, options, place, paint);
  }
}

/**
 * What will not be among the events. Probes that become blind later tell of themselves by a `gap`;
 * what is not attached is for `status` to tell.
 */
async function tellUnseen(api: Api, { follow }: TailOptions): Promise<void> {
  const { ready, connect_events: connects } = await api.getJson<Status>("/status");
  if (connects.ordinary === "counted") {
    const until = follow && connects.setting === "auto" ? ", until now" : "";
    const setting = `--connect-events ${connects.setting}`;
    process.stderr.write(
      `tuplewatch: connects that went as they should are counted, not events${until} (${setting})\n`,
    );
  }
  for (const { probe, cause, reason } of ready.blind ?? []) {
    if (cause === "not_attached") continue;
    process.stderr.write(`tuplewatch: ${probe} is blind: ${printable(reason)}\n`);
  }
}

interface Place {
  since: string | undefined;
  left: number | undefined;
}

async function reconnect(api: Api, options: TailOptions, place: Place, paint: Paint) {
  for (;;) {
    await sleep(RETRY_MS);
    try {
      return await stream(api, options, place, paint);
    } catch (error) {
      // Nobody answers yet, or no stream is free; another answer that refuses will not change.
      if (!(error instanceof ApiError) || ![undefined, BUSY].includes(error.status)) throw error;
    }
  }
}

/** Until the daemon ends the stream. What was written is not asked for again. */
async function stream(api: Api, options: TailOptions, place: Place, paint: Paint): Promise<void> {
  const response = await api.open(pathOf(options, place));
  try {
    for await (const line of createInterface(response)) {
      if (line === "") continue;
      const event = JSON.parse(line) as TuplewatchEvent;
      process.stdout.write(`${options.json ? line : lineOf(event, paint)}\n`);
      if (event.seq === undefined) continue;
      place.since = String(event.seq);
      if (place.left !== undefined) place.left--;
    }
  } catch (error) {
    // Cut in the middle: like an end, but for the last line.
    if (!options.follow) throw error;
  }
}

function pathOf({ filters, follow }: TailOptions, { since, left }: Place): string {
  const query = new URLSearchParams(filters.map(([key, value]): [string, string] => [key, value]));
  if (since !== undefined) query.set("since", since);
  if (left !== undefined) query.set("limit", String(left));
  if (!follow) query.set("follow", "false");
  return `/events?${query}`;
}

const TYPE_WIDTH = 23;
const WHO_WIDTH = 22;

/** One aligned line: local time, type, process, and what the type has to say. */
export function lineOf(event: TuplewatchEvent, paint: Paint): string {
  const { text, colour } = describe(event);
  const time = paint("dim", clock(event.time));
  const type = printable(event.type).padEnd(TYPE_WIDTH);
  const body = printable(text);
  const process = event.type === "finding" ? "" : printable(who(event)).padEnd(WHO_WIDTH);
  return `${time}  ${paint("cyan", type)} ${process} ${colour ? paint(colour, body) : body}`;
}

/** Milliseconds are enough to read; the JSON has the nanoseconds. */
function clock(time: unknown): string {
  const date = new Date(typeof time === "string" ? time : Number.NaN);
  const two = (value: number) => String(value).padStart(2, "0");
  const ms = String(date.getMilliseconds()).padStart(3, "0");
  return `${two(date.getHours())}:${two(date.getMinutes())}:${two(date.getSeconds())}.${ms}`;
}
