import { constants } from "node:os";
import type { DecodedEvent, EventBody } from "../events/body.ts";
import { connectEventsNames, RECORDS, returnSourceNames } from "../events/events.gen.ts";
import {
  enumName,
  enumValue,
  formatAddress,
  formatEndpoint,
  formatLocal,
  formatProcess,
  protocolName,
  resultName,
} from "../events/fields.ts";
import { NS_PER_SECOND } from "../util/units.ts";
import { enumLabel, protocolLabel } from "./metric-specs.ts";
import type { Probe } from "./probe.ts";
import { recordType } from "./record-type.ts";

/** Loopback takes tens of microseconds; SYN retransmits fall at 1, 3, 7, 15 ... seconds. */
const BUCKETS_SECONDS = [0.0001, 0.0005, 0.001, 0.005, 0.02, 0.1, 0.5, 1, 2, 4, 8, 16, 32, 64];

/** Without a free local port, TCP and UDP; their series are there before the first one. */
const NO_PORT_RESULTS = ["EADDRNOTAVAIL", "EAGAIN"];

const { columns, enums } = RECORDS.connect;
const protocol = protocolLabel(columns.protocol);

const connectRecord = recordType("connect", {
  body,
  participants: { conflictProcess: ({ conflict }) => conflict },
  isFindingCandidate,
  counters: [
    {
      name: "tuplewatch_connect_events_total",
      help: "connect() attempts by result (ok or errno) and by how the local port came about.",
      labels: {
        protocol,
        result: { column: columns.error, text: resultName, values: ["ok", ...NO_PORT_RESULTS] },
        technique: enumLabel(columns.technique, enums.technique),
      },
    },
    {
      name: "tuplewatch_connect_syn_retransmits_total",
      help: "SYNs that connect() attempts had to send again.",
      amount: columns.synRetransmits,
    },
    {
      name: "tuplewatch_connect_conflicts_total",
      help: "UDP sockets that connected to a 4-tuple another socket was connected to.",
      amount: columns.hasConflict,
    },
  ],
  histograms: [
    {
      name: "tuplewatch_connect_duration_seconds",
      help: "Time from the call of connect() to its result.",
      labels: {
        protocol,
        outcome: {
          column: columns.error,
          text: (error) => (error === 0 ? "ok" : "failed"),
          values: ["ok", "failed"],
        },
      },
      column: columns.durationNs,
      perUnit: NS_PER_SECOND,
      buckets: BUCKETS_SECONDS,
    },
  ],
});

const CGROUP_PROGRAMS = ["connect4", "connect6", "release_socket"];

/**
 * One event per connect() of a TCP or UDP socket. The backends differ only in where results come
 * from that the TCP state does not tell.
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
      programs: ["set_state", "exit_stream_connect", "exit_dgram_connect"],
      cgroupPrograms: CGROUP_PROGRAMS,
      globals: { config_return_source: enumValue(returnSourceNames, "fexit") },
    },
    {
      name: "syscall_tracepoint",
      sinceKernel: "5.10",
      blindTo: "results of UDP and unroutable connects through io_uring: `unknown`",
      programs: ["set_state", "destroy_sock", "enter_connect", "exit_connect"],
      cgroupPrograms: CGROUP_PROGRAMS,
      globals: { config_return_source: enumValue(returnSourceNames, "syscall") },
    },
    {
      name: "tcp_state",
      sinceKernel: "5.10",
      blindTo: "results that come by return value only: `unknown`",
      programs: ["set_state", "destroy_sock"],
      cgroupPrograms: CGROUP_PROGRAMS,
      globals: { config_return_source: enumValue(returnSourceNames, "none") },
    },
  ],
  recordTypes: [connectRecord],
  globals: ({ connectEvents }) => ({
    config_connect_events: enumValue(connectEventsNames, connectEvents),
  }),
};

const { EADDRNOTAVAIL, EAGAIN } = constants.errno;
const BIND_BEFORE_CONNECT = enumValue(enums.technique, "bind_before_connect");

/** An ordinary connect, also one that was refused, tells nothing of collisions or ports. */
function isFindingCandidate(rows: Float64Array, row: number): boolean {
  const { error, technique, synRetransmits, hasConflict } = columns;
  const errno = rows[row + error];
  return (
    rows[row + synRetransmits] !== 0 ||
    rows[row + hasConflict] !== 0 ||
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
    ...(event.hasConflict !== 0 && { conflict: conflict(event) }),
  };
}

/** The socket that received from this 4-tuple until now. */
function conflict(event: DecodedEvent<"connect">): NonNullable<EventBody<"connect">["conflict"]> {
  return {
    socket_cookie: String(event.conflictCookie),
    local: formatEndpoint(event.conflictLocal),
    ...(event.conflictProcess.pid !== 0 && { process: formatProcess(event.conflictProcess) }),
  };
}
