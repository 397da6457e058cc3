import { constants } from "node:os";
import type { DecodedEvent, EventBody } from "../events/body.ts";
import { connectEventsNames, RECORDS, returnSourceNames } from "../events/events.gen.ts";
import {
  enumName,
  enumValue,
  formatAddress,
  formatEndpoint,
  formatFlowOwner,
  formatLocal,
  formatProcess,
  protocolName,
  resultName,
} from "../events/fields.ts";
import { SLOW_PORT_SEARCH_NS } from "../events/slow-port-search.ts";
import { durationBounds, TALLIES } from "./connect_tally.ts";
import { HASH_SECRET } from "./hash-secret.ts";
import type { Probe } from "./probe.ts";
import { recordType } from "./record-type.ts";

const { columns, enums } = RECORDS.connect;

const connectRecord = recordType("connect", {
  body,
  participants: { conflictProcess: ({ conflict }) => conflict, holder: ({ holder }) => holder },
  isFindingCandidate,
});

const CGROUP_PROGRAMS = ["connect4", "connect6", "release_socket"];

/** Attempts are kept in their sockets, or, where not each program is given those, in a table. */
const IN_TABLE = "connect_in_table";

/** Where port_bind is not told of them either: inet_autobind() is no system call. */
const NOTE_UDP_PORTS = { config_note_udp_ports: 1 };

/** The settings as the programs know them; `auto` begins with nobody who streams. */
const MODES = { auto: "notable", all: "all", failed: "failed", none: "none" } as const;

/** Variable of the programs. */
export const CONNECT_EVENTS = "connect_events";

export const connectEventsMode = (name: (typeof MODES)[keyof typeof MODES]): number =>
  enumValue(connectEventsNames, name);

/**
 * Each connect() of a TCP or UDP socket is counted; those that somebody may want to know are events.
 * The backends differ only in where results come from that the TCP state does not tell.
 */
export const connect: Probe = {
  name: "connect",
  signal: {
    moment: "every connect() of TCP and UDP, and what became of it",
    explains: "local ports exhausted or locked, UDP sockets that overshadow each other",
  },
  backends: [
    {
      name: "fentry",
      sinceKernel: "5.10",
      objects: ["connect", IN_TABLE],
      programs: ["set_state", "exit_stream_connect", "exit_dgram_connect", "exit_hash_connect"],
      optional: { exit_hash_connect: "__inet_hash_connect" },
      cgroupPrograms: CGROUP_PROGRAMS,
      globals: { config_return_source: enumValue(returnSourceNames, "fexit") },
    },
    {
      name: "syscall_tracepoint",
      sinceKernel: "5.10",
      blindTo:
        "results of UDP and unroutable connects through io_uring or by 32-bit programs: `unknown`; how " +
        "long the search for a port took",
      objects: [IN_TABLE],
      programs: ["set_state", "destroy_sock", "enter_connect", "exit_connect"],
      otherwise: {
        programs: ["set_state", "destroy_sock", "enter_any_call", "exit_any_call"],
        cost: "results are seen by sys_enter and sys_exit, at a cost for each system call",
      },
      cgroupPrograms: CGROUP_PROGRAMS,
      globals: { config_return_source: enumValue(returnSourceNames, "syscall"), ...NOTE_UDP_PORTS },
    },
    {
      name: "tcp_state",
      sinceKernel: "5.10",
      blindTo:
        "results that come by return value only: `unknown`; UDP sockets to which the kernel gave one " +
        "port; how long the search for a port took",
      objects: ["connect", IN_TABLE],
      programs: ["set_state", "destroy_sock"],
      cgroupPrograms: CGROUP_PROGRAMS,
      globals: { config_return_source: enumValue(returnSourceNames, "none"), ...NOTE_UDP_PORTS },
    },
  ],
  recordTypes: [connectRecord],
  globals: ({ connectEvents }) => ({
    [CONNECT_EVENTS]: connectEventsMode(MODES[connectEvents]),
    config_duration_bounds_ns: durationBounds(),
    config_hash_secret: HASH_SECRET,
    config_slow_port_search_ns: SLOW_PORT_SEARCH_NS,
  }),
  maps: [TALLIES],
};

const { EADDRNOTAVAIL, EAGAIN } = constants.errno;
const BIND_BEFORE_CONNECT = enumValue(enums.technique, "bind_before_connect");

/** An ordinary connect, also one that was refused, tells nothing of collisions or ports. */
function isFindingCandidate(rows: Float64Array, row: number): boolean {
  const { error, technique, synRetransmits, hasConflict, isSelf, portSearchNs } = columns;
  const errno = rows[row + error];
  return (
    rows[row + synRetransmits] !== 0 ||
    rows[row + hasConflict] !== 0 ||
    rows[row + isSelf] !== 0 ||
    (rows[row + portSearchNs] ?? 0) >= SLOW_PORT_SEARCH_NS ||
    rows[row + technique] === BIND_BEFORE_CONNECT ||
    errno === EADDRNOTAVAIL ||
    errno === EAGAIN
  );
}

function body(event: DecodedEvent<"connect">): EventBody<"connect"> {
  const local = formatLocal(event.local);
  return {
    socket_cookie: String(event.socketCookie),
    protocol: protocolName(event.protocol),
    family: formatAddress(event.peer.address).includes(":") ? "ipv6" : "ipv4",
    ...(local !== undefined && { local }),
    peer: formatEndpoint(event.peer),
    result: resultName(event.error),
    duration_ns: Number(event.durationNs),
    syn_retransmits: event.synRetransmits,
    technique: enumName(enums.technique, event.technique),
    ...(event.portSearchNs !== 0n && { port_search_ns: Number(event.portSearchNs) }),
    ...portRange(event),
    ...(event.hasConflict !== 0 && { conflict: conflict(event) }),
    ...(event.hasHolder !== 0 && { holder: formatFlowOwner(event.holder) }),
  };
}

function portRange(event: DecodedEvent<"connect">): Pick<EventBody<"connect">, "port_range"> {
  const { portRangeLow: low, portRangeHigh: high } = event;
  return low === 0 && high === 0 ? {} : { port_range: { low, high } };
}

/** The socket that received from this 4-tuple until now. */
function conflict(event: DecodedEvent<"connect">): NonNullable<EventBody<"connect">["conflict"]> {
  return {
    socket_cookie: String(event.conflictCookie),
    local: formatEndpoint(event.conflictLocal),
    ...(event.conflictProcess.pid !== 0 && { process: formatProcess(event.conflictProcess) }),
  };
}
