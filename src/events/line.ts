import type { TuplewatchEvent } from "./event.ts";
import type { EventType } from "./event-types.ts";

/** How a line is to stand out: on a terminal, and on the page. */
export type Colour = "bold" | "cyan" | "dim" | "green" | "red" | "yellow";

/** What one line says of an event, after its time, type and process. */
export interface Description {
  readonly text: string;
  readonly colour?: Colour;
}

type Fields = Readonly<Record<string, unknown>>;

/** By event type; one that is not here is shown by its fields. */
const DESCRIBERS: Readonly<Partial<Record<EventType, (event: Fields) => Description>>> = {
  connect: (event) => {
    const failed = event.result !== "ok";
    const retransmits = count(event.syn_retransmits);
    const words = [
      `${text(event.protocol)} ${endpoint(event.local)} > ${endpoint(event.peer)}`,
      text(event.result),
      duration(event.duration_ns),
      event.technique === "plain" ? "" : text(event.technique),
      retransmits > 0 ? `${retransmits} SYN retransmit${retransmits === 1 ? "" : "s"}` : "",
      event.conflict === undefined ? "" : `overshadows ${who(event.conflict)}`,
      event.holder === undefined ? "" : `held by ${who(event.holder)}`,
    ];
    const odd = retransmits > 0 || event.conflict !== undefined;
    return line(words, failed ? "red" : odd ? "yellow" : undefined);
  },
  challenge_ack: (event) => {
    const sent = event.sent === false ? `held back by the ${text(event.limiter)} limiter` : "sent";
    return line([flow(event), `challenged by ${text(event.trigger)}`, sent], "yellow");
  },
  challenge_outcome: (event) => {
    const outcome = text(event.outcome);
    const words = [flow(event), outcome, `after ${duration(event.delay_ns)}`];
    return line(words, outcome === "reset_by_peer" ? "red" : undefined);
  },
  conntrack_insert_failed: (event) => {
    const dropped = event.verdict === "dropped";
    const words = [
      `${text(event.protocol)} ${tuple(event.original)}`,
      event.nat === "none" ? "" : `as ${endpoint(part(event.reply, "dst"))}`,
      `${text(event.verdict)}: ${text(event.cause)}`,
      isFields(event.winner) ? `won by ${tuple(event.winner.original)}` : "",
    ];
    return line(words, dropped ? "red" : undefined);
  },
  flow_retry: (event) =>
    line([
      `${text(event.protocol)} ${tuple(event.original)}`,
      `accepted after ${duration(event.delay_ns)}`,
    ]),
  stale_flow_reuse: (event) => {
    const words = [
      `${text(event.protocol)} ${tuple(event.original)}`,
      `goes to ${endpoint(event.actual_destination)}`,
      `by an entry ${duration(event.age_ns)} old of ${who(event.old_owner)}`,
    ];
    return line(words, event.redirected === true ? "red" : "yellow");
  },
  port_bind: (event) => {
    const words = [
      `${text(event.protocol)} ${endpoint(event.local)}`,
      text(event.result),
      text(event.technique),
      event.holder === undefined ? "" : `held by ${who(event.holder)}`,
    ];
    return line(words, "red");
  },
  finding: (event) => {
    const state = event.state === "closed" ? "closed" : text(event.severity);
    const colour = { critical: "red", warning: "yellow" } as const;
    const words = [`${text(event.kind)} (${state})`, text(event.summary)];
    return line(words, colour[state as "critical"] ?? "cyan");
  },
  gap: (event) => {
    const missed = event.missed === undefined ? "events" : `${count(event.missed)} events`;
    return line([`${missed} missed`, text(event.where), text(event.probe)], "yellow");
  },
};

/** A map, because types come from a stream: `constructor` is none. */
const DESCRIBE = new Map<string, (event: Fields) => Description>(Object.entries(DESCRIBERS));

export function describe(event: TuplewatchEvent): Description {
  const known = DESCRIBE.get(event.type);
  return known === undefined ? { text: fieldsText(event) } : known(event);
}

/** Fields that each line has elsewhere, or that are of no use in one. */
const HEAD = ["seq", "time", "type", "probe", "backend", "cpu", "netns", "attribution"];
const PROCESS = ["process", "cgroup", "inferred", "socket_cookie"];

/** `port=53  errno=EADDRINUSE` */
function fieldsText(event: Fields): string {
  const own = Object.entries(event).filter(([name]) => ![...HEAD, ...PROCESS].includes(name));
  return own.map(([name, value]) => `${name}=${valueText(value)}`).join("  ");
}

function valueText(value: unknown): string {
  if (!isFields(value)) return text(value);
  if (value.address !== undefined) return endpoint(value);
  return value.src !== undefined && value.dst !== undefined ? tuple(value) : text(value);
}

/** `curl[1234]`, with the container or unit it is in; the user where no more is known. */
export function who(party: unknown): string {
  if (!isFields(party)) return "-";
  const process = part(party, "process");
  const cgroup = part(party, "cgroup");
  const place = cgroup.container ? text(cgroup.container).slice(0, 12) : text(cgroup.unit);
  const name =
    process.pid === undefined ? text(process.comm) : `${text(process.comm)}[${text(process.pid)}]`;
  const known = name !== "" ? name : process.uid === undefined ? "-" : `uid ${text(process.uid)}`;
  return place === "" ? known : `${known}@${place}`;
}

/** `7 processes`, `23 failures`, `96 ports`: what is known of how many. */
export function amounts({ processes, failures, ports }: Fields): string[] {
  return [
    ...(processes === undefined ? [] : [plural(processes, "process", "processes")]),
    ...(failures === undefined ? [] : [plural(failures, "failure", "failures")]),
    ...(ports === undefined ? [] : [plural(ports, "port", "ports")]),
  ];
}

function plural(value: unknown, one: string, many: string): string {
  return `${text(value)} ${value === 1 ? one : many}`;
}

export function endpoint(value: unknown): string {
  if (!isFields(value)) return "*";
  const address = text(value.address) || "*";
  const host = address.includes(":") ? `[${address}]` : address;
  return value.port === undefined ? host : `${host}:${text(value.port)}`;
}

const UNITS = [
  ["s", 1e9],
  ["ms", 1e6],
  ["µs", 1e3],
] as const;

/** Nanoseconds in three digits or so and the unit that fits. */
export function duration(ns: unknown): string {
  if (typeof ns !== "number") return "?";
  const [unit, size] = UNITS.find(([, least]) => ns >= least) ?? ["ns", 1];
  return `${Number((ns / size).toPrecision(3))} ${unit}`;
}

function line(words: readonly string[], colour?: Colour): Description {
  const text = words.filter((word) => word !== "").join("  ");
  return colour === undefined ? { text } : { text, colour };
}

function flow(event: Fields): string {
  return `${endpoint(event.peer)} > ${endpoint(event.local)}`;
}

function tuple(value: unknown): string {
  return `${endpoint(part(value, "src"))} > ${endpoint(part(value, "dst"))}`;
}

function part(value: unknown, key: string): Fields {
  const found = isFields(value) ? value[key] : undefined;
  return isFields(found) ? found : {};
}

/** What another version puts where this one expects a word is shown as JSON. */
function text(value: unknown): string {
  if (value === undefined || value === null) return "";
  return typeof value === "object" ? JSON.stringify(value) : String(value);
}

function count(value: unknown): number {
  return typeof value === "number" ? value : 0;
}

function isFields(value: unknown): value is Fields {
  return typeof value === "object" && value !== null;
}
