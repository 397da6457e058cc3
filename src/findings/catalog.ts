import type { FindingKind, SEVERITIES } from "../events/finding-kinds.ts";

/** What a reader should know of a kind of finding; docs/reference/findings.md is made of it. */
export interface FindingSummary {
  /** What happened. */
  readonly incident: string;
  /** What to do, in one line; a finding has it with its own values. */
  readonly remedy: string;
  /** Worst first. */
  readonly severities: readonly (typeof SEVERITIES)[number][];
  /** What must be seen for such a finding; the head of the kind's file has the rule in full. */
  readonly rule: string;
  /** What looks like it and is none. */
  readonly lookAlikes: string;
}

export const FINDING_CATALOG: Readonly<Record<FindingKind, FindingSummary>> = {
  four_tuple_collision: {
    incident:
      "a SYN arrived on a live connection's 4-tuple, and the peer's answer to the challenge ACK " +
      "reset that connection",
    remedy:
      "random source ports at the NAT gateway; no cross-zone balancing or client address " +
      "preservation",
    severities: ["critical"],
    rule:
      "a SYN challenged on an established connection (trigger `syn` or `paws`), the challenge was " +
      "sent, and the peer's reset followed within 3 s on the same socket",
    lookAlikes:
      "a SYN that the peer ignores after the challenge (a blind probe: `survived`, `closed`); a " +
      "connection that had received nothing for more than 60 s (a peer that restarted)",
  },
  nat_insert_race: {
    incident: "two new flows were given one NAT tuple at the same moment; one packet was dropped",
    remedy: "`--random-fully`; for DNS `single-request-reopen` or a cache",
    severities: ["warning"],
    rule: "a `conntrack_insert_failed` under NAT whose verdict is `dropped` and cause a clash",
    lookAlikes:
      "a clash that conntrack resolved; one without NAT, where two packets of one flow came at " +
      "once; any other cause",
  },
  nat_ports_exhausted: {
    incident: "NAT has no source port left towards one destination",
    remedy: "shorter timeouts, a wider port range, more source addresses",
    severities: ["critical"],
    rule:
      "the same flow is refused again later on; or three flows to one destination are refused " +
      "within 10 s and none of them succeeded",
    lookAlikes:
      "a race, which the flow's next packet wins (`nat_insert_race`); flows that kept their own " +
      "source port do not count among the three",
  },
  local_port_exhaustion: {
    incident: "`connect()`, `bind()` or a first datagram found no free local port",
    remedy: "reuse connections, widen `ip_local_port_range`, `tcp_tw_reuse`",
    severities: ["critical"],
    rule:
      "a `connect` with `EADDRNOTAVAIL` (TCP) or `EAGAIN` (UDP), or a `port_bind`, where the kernel " +
      "was to choose the port, and less than half of the ports were locked by bind()",
    lookAlikes:
      "a fixed port that is taken; TCP over IPv6 on a machine without an IPv6 source address, " +
      "unless the range is nearly full when its ports are counted",
  },
  port_locked_by_bind: {
    incident: "a process binds before it connects, and so locks most ports of the range",
    remedy: "`IP_BIND_ADDRESS_NO_PORT`",
    severities: ["critical"],
    rule:
      "a call found no port, and at least half of the range was locked by bind(); or the range is at " +
      "least 90 % full, half of that locked, while connects have the technique `bind_before_connect`",
    lookAlikes: "many such connects one after the other, while the range has room",
  },
  port_held_by_connection: {
    incident: "a service cannot bind its port: the kernel gave it to an outgoing connection",
    remedy: "`ip_local_reserved_ports`",
    severities: ["critical"],
    rule:
      "a `port_bind` with `EADDRINUSE` for a port that was asked for, and no socket that has it " +
      "listens or asked for this port",
    lookAlikes: "another service on the port; a port that nobody has any more",
  },
  source_tuple_taken: {
    incident: "a connection from a fixed port finds its 4-tuple taken, or in TIME_WAIT",
    remedy: "leave the port to the kernel; TCP timestamps",
    severities: ["warning"],
    rule:
      "a TCP `connect` with `EADDRNOTAVAIL` and the technique `bound_port` or `reuseaddr`; over IPv6 " +
      "only if such a socket is found",
    lookAlikes: "a port that the kernel was to choose (`local_port_exhaustion`)",
  },
  local_ports_low: {
    incident: "local ports towards one destination run low",
    remedy: "reuse connections, `tcp_tw_reuse`, a wider range",
    severities: ["warning", "info"],
    rule:
      "half of the usable ports (of the range, neither reserved nor locked whatever the destination) " +
      "are taken towards one TCP destination. `info` if a tenth is, has grown in three intervals, and " +
      "at that rate none is left within 10 minutes; or if the kernel searched three times within 10 s " +
      "for 1 ms and more, and 45 % are taken",
    lookAlikes:
      "ports in TIME_WAIT that a new connection may take over (`tcp_tw_reuse`, timestamps); accepted " +
      "connections; a burst that ends; ports that UDP has; a range of fewer than 16; connections " +
      "from several local addresses",
  },
  udp_overshadowing: {
    incident: "two UDP sockets are connected to one 4-tuple; the older one gets nothing",
    remedy: "no `SO_REUSEADDR`, or a port for each",
    severities: ["warning", "info"],
    rule:
      "a UDP `connect` with a `conflict`: a live socket has the same 4-tuple. `info` if both " +
      "sockets are of one process, which may mean to replace the first, unless the kernel chose " +
      "the port",
    lookAlikes:
      "a socket that connects again; a closed one; sockets that share a port towards different " +
      "peers; unconnected ones",
  },
  self_connect: {
    incident: "a TCP client of a closed local port connected to itself",
    remedy: "`ip_local_reserved_ports`",
    severities: ["warning"],
    rule: "a TCP `connect` that ended well, and whose `local` is its `peer`",
    lookAlikes: "a listener that is there; the same port at another address",
  },
  stale_conntrack_reuse: {
    incident: "a new socket's packets follow the NAT of an old flow on the same port",
    remedy: "delete the entry, shorter UDP timeouts, `notrack` for the proxy's user",
    severities: ["critical", "info"],
    rule:
      "a `stale_flow_reuse` of an entry that redirects, by a socket of another user, program or " +
      "cgroup than the old one. `info` if the packets go to another machine, for which the rules " +
      "mostly would do the same",
    lookAlikes:
      "an entry without NAT, or that only translates the source; the same program again, for " +
      "which the rules would do the same",
  },
  conntrack_table_full: {
    incident: "the table holds `nf_conntrack_max` entries; packets of new flows are dropped",
    remedy: "a greater `nf_conntrack_max`, shorter timeouts",
    severities: ["critical"],
    rule: "a `conntrack_insert_failed` with cause `table_full` and verdict `dropped`",
    lookAlikes: "a table that is full of entries that can be dropped early",
  },
};
