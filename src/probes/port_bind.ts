import type { DecodedEvent, EventBody } from "../events/body.ts";
import { RECORDS } from "../events/events.gen.ts";
import {
  enumName,
  formatCookie,
  formatFlowOwner,
  formatLocal,
  protocolName,
  resultName,
} from "../events/fields.ts";
import { HASH_SECRET } from "./hash-secret.ts";
import { AUTOBINDS, PORT_BIND_TALLIES } from "./port_bind_tally.ts";
import type { Probe } from "./probe.ts";
import { recordType } from "./record-type.ts";

const { enums } = RECORDS.port_bind;

const AF_INET6 = 10;

const portBindRecord = recordType("port_bind", {
  body,
  participants: { holder: ({ holder }) => holder },
});

/** IPv6 may be absent, or a module. */
const IPV6_BIND = "inet6_bind";

/** Multipath TCP may be absent, too. */
const MPTCP_BIND = "mptcp_bind";
const MPTCP_LISTEN = "mptcp_listen";

/**
 * Each call that asks for a local port without a peer is counted, and whoever gets one is noted;
 * those that find none are events.
 */
export const portBind: Probe = {
  name: "port_bind",
  signal: {
    moment: "bind(), listen() or a first datagram finds no port",
    explains: "services that cannot bind, UDP sockets without a port",
  },
  backends: [
    {
      name: "fentry",
      sinceKernel: "6.1",
      programs: [
        "exit_bind",
        "exit_bind_v6",
        "exit_bind_mptcp",
        "exit_listen",
        "exit_listen_mptcp",
        "exit_autobind",
      ],
      optional: {
        exit_bind_v6: IPV6_BIND,
        exit_bind_mptcp: MPTCP_BIND,
        exit_listen_mptcp: MPTCP_LISTEN,
      },
    },
    {
      name: "kprobe",
      sinceKernel: "5.10",
      programs: [],
      kprobes: [
        { program: "kretprobe_bind", functionName: "inet_bind", ret: true },
        { program: "kprobe_bind", functionName: "inet_bind" },
        { program: "kretprobe_bind_v6", functionName: IPV6_BIND, ret: true },
        { program: "kprobe_bind_v6", functionName: IPV6_BIND },
        { program: "kretprobe_bind_mptcp", functionName: MPTCP_BIND, ret: true },
        { program: "kprobe_bind_mptcp", functionName: MPTCP_BIND },
        { program: "kretprobe_listen", functionName: "inet_listen", ret: true },
        { program: "kprobe_listen", functionName: "inet_listen" },
        { program: "kretprobe_listen_mptcp", functionName: MPTCP_LISTEN, ret: true },
        { program: "kprobe_listen_mptcp", functionName: MPTCP_LISTEN },
        { program: "kretprobe_udp_connect", functionName: "inet_dgram_connect", ret: true },
        { program: "kprobe_udp_connect", functionName: "inet_dgram_connect" },
        { program: "kretprobe_autobind", functionName: "inet_autobind", ret: true },
        { program: "kprobe_autobind", functionName: "inet_autobind" },
      ],
      optional: {
        kprobe_bind_v6: IPV6_BIND,
        kretprobe_bind_v6: IPV6_BIND,
        kprobe_bind_mptcp: MPTCP_BIND,
        kretprobe_bind_mptcp: MPTCP_BIND,
        kprobe_listen_mptcp: MPTCP_LISTEN,
        kretprobe_listen_mptcp: MPTCP_LISTEN,
      },
    },
    {
      name: "syscall_tracepoint",
      sinceKernel: "5.15",
      blindTo:
        "calls through io_uring or by 32-bit programs; ports that UDP's connect() chose are counted by `connect` only",
      programs: [
        "exit_bind_call",
        "exit_listen_call",
        "exit_sendto_call",
        "exit_sendmsg_call",
        "exit_sendmmsg_call",
      ],
      otherwise: {
        programs: ["exit_any_call"],
        cost: "results are seen by sys_exit, at a cost for each system call",
      },
      cgroupPrograms: ["first_datagram", "first_datagram_v6"],
    },
  ],
  recordTypes: [portBindRecord],
  globals: () => ({ config_hash_secret: HASH_SECRET }),
  maps: [PORT_BIND_TALLIES, AUTOBINDS],
};

function body(event: DecodedEvent<"port_bind">): EventBody<"port_bind"> {
  const local = formatLocal(event.local);
  return {
    ...formatCookie(event.socketCookie),
    protocol: protocolName(event.protocol),
    family: event.family === AF_INET6 ? "ipv6" : "ipv4",
    ...(local !== undefined && { local }),
    result: resultName(event.error),
    technique: enumName(enums.bindTechnique, event.bindTechnique),
    ...(event.hasHolder !== 0 && { holder: formatFlowOwner(event.holder) }),
  };
}
