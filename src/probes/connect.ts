import { getSystemErrorName } from "node:util";
import { Counter, Histogram, type Registry } from "prom-client";
import {
  type ConnectEvent,
  connectEventLayout,
  decodeConnectEvent,
  techniqueNames,
} from "./events.gen.ts";
import {
  enumName,
  formatAddress,
  formatEndpoint,
  formatLocal,
  formatProcess,
  protocolName,
} from "./fields.ts";
import type { Aggregator, EventBody, Probe } from "./probe.ts";

const CGROUP_PROGRAMS = ["connect4", "connect6"];
const STATE_PROGRAMS = ["set_state", "destroy_sock"];

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
      programs: [...STATE_PROGRAMS, "exit_stream_connect", "exit_dgram_connect"],
      cgroupPrograms: CGROUP_PROGRAMS,
      globals: { config_return_source: RETURN_SOURCE.fexit },
    },
    {
      name: "syscall_tracepoint",
      programs: [...STATE_PROGRAMS, "enter_connect", "exit_connect"],
      cgroupPrograms: CGROUP_PROGRAMS,
      globals: { config_return_source: RETURN_SOURCE.syscall },
    },
    {
      name: "tcp_state",
      programs: STATE_PROGRAMS,
      cgroupPrograms: CGROUP_PROGRAMS,
      globals: { config_return_source: RETURN_SOURCE.none },
    },
  ],
  layout: connectEventLayout,
  globals: ({ connectEvents }) => ({ config_connect_events: CONNECT_EVENTS[connectEvents] }),
  decode: (views, at) => {
    const event = decodeConnectEvent(views, at);
    return { type: "connect", head: event.head, body: body(event) };
  },
  createAggregator,
};

function body(event: ConnectEvent): EventBody {
  const local = formatLocal(event.local);
  return {
    socket_cookie: String(event.socket_cookie),
    protocol: protocolName(event.protocol),
    family: formatAddress(event.peer.address).includes(":") ? "ipv6" : "ipv4",
    ...(local !== undefined && { local }),
    peer: formatEndpoint(event.peer),
    result: resultName(event.error),
    duration_ns: Number(event.duration_ns),
    syn_retransmits: event.syn_retransmits,
    technique: enumName(techniqueNames, event.technique),
    ...(event.has_conflict !== 0 && { conflict: conflict(event) }),
  };
}

/** The socket that received from this 4-tuple until now. */
function conflict(event: ConnectEvent): EventBody {
  return {
    socket_cookie: String(event.conflict_cookie),
    local: formatEndpoint(event.conflict_local),
    ...(event.conflict_process.pid !== 0 && { process: formatProcess(event.conflict_process) }),
  };
}

/** `ok`, the errno's name, or `unknown`. */
export function resultName(error: number): string {
  if (error === 0) return "ok";
  return error < 0 ? "unknown" : getSystemErrorName(-error);
}

const BUCKETS_SECONDS = [0.0001, 0.0005, 0.001, 0.005, 0.01, 0.05, 0.1, 0.5, 1, 2, 4, 8, 16, 64];
