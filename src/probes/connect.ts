import { constants } from "node:os";
import { Counter, Histogram, type Registry } from "prom-client";
import type { ConnectBody } from "./connect.schema.ts";
import {
  type ConnectEvent,
  connectEventColumnCount,
  connectEventColumns,
  connectEventLayout,
  decodeConnectEvent,
  decodeConnectEventColumns,
  techniqueNames,
} from "./events.gen.ts";
import {
  enumName,
  formatAddress,
  formatEndpoint,
  formatLocal,
  formatProcess,
  protocolName,
  resultName,
} from "./fields.ts";
import type { Aggregator, Party, Probe } from "./probe.ts";
import { Tally } from "./tally.ts";
import { zeroCombinations } from "./zero.ts";

const CGROUP_PROGRAMS = ["connect4", "connect6", "release_socket"];

// enum return_source and enum connect_events in bpf/connect.h
const RETURN_SOURCE = { none: 0, syscall: 1, fexit: 2 };
const CONNECT_EVENTS = { all: 0, failed: 1, none: 2 };

/**
 * One event per connect() of a TCP or UDP socket. The backends differ only in where results come
 * from that the TCP state does not tell.
 */
export const connect: Probe = {
  name: "connect",
  backends: [
    {
      name: "fentry",
      programs: ["set_state", "exit_stream_connect", "exit_dgram_connect"],
      cgroupPrograms: CGROUP_PROGRAMS,
      globals: { config_return_source: RETURN_SOURCE.fexit },
    },
    {
      name: "syscall_tracepoint",
      programs: ["set_state", "destroy_sock", "enter_connect", "exit_connect"],
      cgroupPrograms: CGROUP_PROGRAMS,
      globals: { config_return_source: RETURN_SOURCE.syscall },
    },
    {
      name: "tcp_state",
      programs: ["set_state", "destroy_sock"],
      cgroupPrograms: CGROUP_PROGRAMS,
      globals: { config_return_source: RETURN_SOURCE.none },
    },
  ],
  layout: connectEventLayout,
  columns: {
    ...connectEventColumns,
    count: connectEventColumnCount,
    decode: decodeConnectEventColumns,
  },
  parties: [
    {
      pid: connectEventColumns.conflictProcessPid,
      find: ({ conflict }) => conflict as Party | undefined,
    },
  ],
  globals: ({ connectEvents }) => ({ config_connect_events: CONNECT_EVENTS[connectEvents] }),
  decode: (views, at) => {
    const event = decodeConnectEvent(views, at);
    return { type: "connect", head: event.head, body: body(event) };
  },
  isTelling,
  createAggregator,
};

const { EADDRNOTAVAIL, EAGAIN } = constants.errno;

const BIND_BEFORE_CONNECT = 2 satisfies keyof typeof techniqueNames;

/** An ordinary connect, also one that was refused, tells nothing of collisions or ports. */
function isTelling(rows: Float64Array, row: number): boolean {
  const { error, technique, synRetransmits, hasConflict } = connectEventColumns;
  const errno = rows[row + error];
  return (
    rows[row + synRetransmits] !== 0 ||
    rows[row + hasConflict] !== 0 ||
    rows[row + technique] === BIND_BEFORE_CONNECT ||
    errno === EADDRNOTAVAIL ||
    errno === EAGAIN
  );
}

function body(event: ConnectEvent): ConnectBody {
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
    technique: enumName(techniqueNames, event.technique),
    ...(event.hasConflict !== 0 && { conflict: conflict(event) }),
  };
}

/** The socket that received from this 4-tuple until now. */
function conflict(event: ConnectEvent): NonNullable<ConnectBody["conflict"]> {
  return {
    socket_cookie: String(event.conflictCookie),
    local: formatEndpoint(event.conflictLocal),
    ...(event.conflictProcess.pid !== 0 && { process: formatProcess(event.conflictProcess) }),
  };
}

/** Loopback takes tens of microseconds; SYN retransmits fall at 1, 3, 7, 15 ... seconds. */
const BUCKETS_SECONDS = [0.0001, 0.0005, 0.001, 0.005, 0.02, 0.1, 0.5, 1, 2, 4, 8, 16, 32, 64];

const NS_PER_SECOND = 1e9;

const PROTOCOLS = ["tcp", "udp"] as const;

/** Without a free local port, TCP and UDP; their series are there before the first one. */
const NO_PORT_RESULTS = ["EADDRNOTAVAIL", "EAGAIN"] as const;

function createAggregator(registry: Registry): Aggregator {
  const { durationNs, error, protocol, technique, synRetransmits, hasConflict } =
    connectEventColumns;
  const events = createTally(registry);
  const durations = createDurations(registry);
  const retransmits = new Counter({
    name: "tuplewatch_connect_syn_retransmits_total",
    help: "SYNs that connect() attempts had to send again.",
    registers: [registry],
  });
  const conflicts = new Counter({
    name: "tuplewatch_connect_conflicts_total",
    help: "UDP sockets that connected to a 4-tuple another socket was connected to.",
    registers: [registry],
  });
  return (rows, count) => {
    for (let index = 0, row = 0; index < count; index++, row += connectEventColumnCount) {
      events.add(rows, row);
      const label = outcomeLabels(rows[row + protocol] as number, rows[row + error] as number);
      durations.observe(label, (rows[row + durationNs] as number) / NS_PER_SECOND);
      if (rows[row + synRetransmits]) retransmits.inc(rows[row + synRetransmits]);
      if (rows[row + hasConflict]) conflicts.inc();
    }
    events.flush();
  };

  function createTally(registry: Registry): Tally {
    const counter = new Counter({
      name: "tuplewatch_connect_events_total",
      help: "connect() attempts by result (ok or errno) and by how the local port came about.",
      labelNames: ["protocol", "result", "technique"],
      registers: [registry],
    });
    zeroCombinations(counter, {
      protocol: PROTOCOLS,
      result: ["ok", ...NO_PORT_RESULTS],
      technique: Object.values(techniqueNames),
    });
    return new Tally(counter, [protocol, error, technique], ([proto = 0, errno = 0, how = 0]) => ({
      protocol: protocolName(proto),
      result: resultName(errno),
      technique: enumName(techniqueNames, how),
    }));
  }
}

function createDurations(registry: Registry): Histogram {
  const durations = new Histogram({
    name: "tuplewatch_connect_duration_seconds",
    help: "Time from the call of connect() to its result.",
    labelNames: ["protocol", "outcome"],
    buckets: BUCKETS_SECONDS,
    registers: [registry],
  });
  for (const protocol of PROTOCOLS) {
    for (const outcome of ["ok", "failed"]) durations.zero({ protocol, outcome });
  }
  return durations;
}

function outcomeLabels(protocol: number, error: number): { protocol: string; outcome: string } {
  return { protocol: protocolName(protocol), outcome: error === 0 ? "ok" : "failed" };
}
