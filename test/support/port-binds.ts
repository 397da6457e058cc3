import assert from "node:assert/strict";
import type { ParsedEvent } from "./events.ts";
import type { Netns } from "./netns.ts";

/** What test/faults/port_binds.py prints. */
export interface PortBinds {
  readonly pid: number;
  readonly netns: number;
  readonly kinds: Readonly<
    Record<string, { readonly results: Readonly<Record<string, number>>; readonly holder?: number }>
  >;
}

interface Expected {
  readonly results: Readonly<Record<string, number>>;
  /** Of each event; the rest of the results are none. */
  readonly fields: Readonly<Record<string, unknown>>;
  /** The process that has the port is told. */
  readonly isHolderKnown?: boolean;
}

const MORE = { ok: 10, EADDRINUSE: 3 };
const NO_DATAGRAM = { ok: 10, EAGAIN: 3 };

const ANY = { family: "ipv4", technique: "any_port", local: { address: "127.0.0.1" } };
const ANY6 = { family: "ipv6", technique: "any_port", local: { address: "::1" } };
const AUTOBIND = { protocol: "udp", technique: "autobind", local: undefined };

function taken(port: number, protocol: "tcp" | "udp", isHolderKnown = true): Expected {
  const local = { address: "127.0.0.1", port };
  const fields = { protocol, family: "ipv4", technique: "fixed_port", local };
  return { results: { EADDRINUSE: 3 }, fields, isHolderKnown };
}

/** Kinds of which each failure is an event; in order of the program's work. */
export const PORT_BIND_KINDS: Readonly<Record<string, Expected>> = {
  tcp_any: { results: MORE, fields: { ...ANY, protocol: "tcp" } },
  tcp6_any: { results: MORE, fields: { ...ANY6, protocol: "tcp" } },
  udp_any: { results: MORE, fields: { ...ANY, protocol: "udp" } },
  udp6_any: { results: MORE, fields: { ...ANY6, protocol: "udp" } },
  mptcp_any: { results: MORE, fields: { ...ANY, protocol: "tcp" } },
  mptcp_listen: {
    results: { ok: 1, EADDRINUSE: 2 },
    fields: { protocol: "tcp", technique: "listen" },
  },
  tcp_listen: {
    results: MORE,
    fields: { protocol: "tcp", technique: "listen", local: undefined },
  },
  tcp_listen_late: {
    results: { ok: 1, EADDRINUSE: 2 },
    fields: { technique: "listen", local: { address: "127.0.0.1", port: 8009 } },
  },
  udp_send: { results: NO_DATAGRAM, fields: { ...AUTOBIND, family: "ipv4" } },
  udp6_send: { results: NO_DATAGRAM, fields: { ...AUTOBIND, family: "ipv6" } },
  udp_sendmsg: { results: NO_DATAGRAM, fields: AUTOBIND },
  udp_sendmmsg: { results: NO_DATAGRAM, fields: AUTOBIND },
  tcp_taken: taken(8000, "tcp"),
  tcp_taken_any: taken(8001, "tcp"),
  tcp_taken_any6: taken(8002, "tcp"),
  udp_taken: taken(8003, "udp"),
  mptcp_taken: taken(8012, "tcp"),
  // The listener's socket is gone, and a connection has its port.
  tcp_taken_gone: taken(8004, "tcp", false),
};

/** Kinds without an event. The failures of `udp_connect` are the connect probe's. */
export const NO_PORT_BIND: Readonly<Record<string, Readonly<Record<string, number>>>> = {
  udp_connect: NO_DATAGRAM,
  no_address: { EADDRNOTAVAIL: 3 },
  no_right: { EACCES: 3 },
  full_buffer: { ok: 4, EAGAIN: 3 },
  reuse: { ok: 3 },
  no_port: { ok: 13 },
  bound_already: { EINVAL: 3 },
  raw: { ok: 2 },
};

/** Of all kinds together. */
export const PORT_BIND_EVENTS = Object.values(PORT_BIND_KINDS)
  .flatMap(({ results }) => Object.entries(results))
  .reduce((sum, [result, count]) => (result === "ok" ? sum : sum + count), 0);

/** All kinds by one process, as they must end. */
export function bindPorts(netns: Netns): PortBinds {
  netns.sysctl("net.ipv4.ip_local_port_range", "20000 20009");
  const kinds = [...Object.keys(PORT_BIND_KINDS), ...Object.keys(NO_PORT_BIND)];
  const made = netns.fault<PortBinds>("port_binds.py", ...kinds);
  for (const [kind, { results }] of Object.entries(PORT_BIND_KINDS)) {
    assert.deepEqual(made.kinds[kind]?.results, results, kind);
  }
  for (const [kind, results] of Object.entries(NO_PORT_BIND)) {
    const { ok: _, ...failed } = results;
    const { ok: __, ...itsFailed } = made.kinds[kind]?.results ?? {};
    assert.deepEqual(itsFailed, failed, kind);
  }
  return made;
}

/** The failures of a kind, and no more, are among the events of its namespace. */
export function checkPortBinds(
  events: readonly ParsedEvent[],
  made: PortBinds,
  kind: string,
): void {
  const { results, fields, isHolderKnown } = PORT_BIND_KINDS[kind] ?? assert.fail(kind);
  const own = events.filter(({ process }) => (process as { comm: string }).comm === kind);
  const { ok: _, ...failed } = results;
  const told: Record<string, number> = {};
  for (const event of own) {
    const result = String(event.result);
    told[result] = (told[result] ?? 0) + 1;
    for (const [field, value] of Object.entries(fields))
      assert.deepEqual(event[field], value, field);
    checkHead(event, made, kind);
    const holder = event.holder as { readonly process: object } | undefined;
    const pid = made.kinds[kind]?.holder;
    const expected = isHolderKnown ? { pid, comm: "holder", uid: 0 } : undefined;
    assert.deepEqual(holder?.process, expected);
  }
  assert.deepEqual(told, failed);
}

function checkHead(event: ParsedEvent, { pid, netns }: PortBinds, comm: string): void {
  assert.deepEqual(event.process, { pid, comm, uid: 0 });
  assert.equal((event.netns as { inum: number }).inum, netns);
  assert.equal(event.attribution, "current");
}

/**
 * The change of tuplewatch_port_bind_events_total by all kinds and by those who hold a port for them.
 * `seesConnect`: the backend counts ports that UDP's connect() chose.
 */
export function expectedCounts(seesConnect: boolean): Record<string, number> {
  const connected = seesConnect ? 1 : 0;
  return {
    "tcp ok any_port": 3 * 10 + 13,
    "tcp EADDRINUSE any_port": 3 * 3,
    // Beside the holders of five ports, those of tcp_listen_late, mptcp_listen and reuse.
    "tcp ok fixed_port": 5 + 3 * 3,
    "tcp EADDRINUSE fixed_port": 5 * 3,
    "tcp EADDRNOTAVAIL fixed_port": 3,
    "tcp EACCES fixed_port": 3,
    "tcp ok listen": 10 + 2 + 5,
    "tcp EADDRINUSE listen": 3 + 2 * 2,
    // full_buffer has one, bound_already three.
    "udp ok any_port": 2 * 10 + 1 + 3,
    "udp EADDRINUSE any_port": 2 * 3,
    "udp ok fixed_port": 1,
    "udp EADDRINUSE fixed_port": 3,
    "udp EINVAL fixed_port": 3,
    "udp ok autobind": (4 + connected) * 10,
    "udp EAGAIN autobind": (4 + connected) * 3,
  };
}

/** As `expectedCounts`, of two readings of the metric. */
export function countsBetween(
  before: ReadonlyMap<string, number>,
  after: ReadonlyMap<string, number>,
): Record<string, number> {
  const counts: Record<string, number> = {};
  for (const [labels, count] of after) {
    const made = count - (before.get(labels) ?? 0);
    const [protocol, result, technique] = ["protocol", "result", "technique"].map(
      (name) => new RegExp(`${name}="(\\w+)"`).exec(labels)?.[1],
    );
    if (made > 0) counts[`${protocol} ${result} ${technique}`] = made;
  }
  return counts;
}
