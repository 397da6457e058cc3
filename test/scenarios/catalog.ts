import type { ProbeName } from "../../src/config/options.ts";
import type { FindingKind } from "../../src/events/finding-kinds.ts";

/** One incident, rebuilt by a script of this folder. */
export interface Scenario {
  readonly script: string;
  readonly args: readonly string[];
  /** What a person who watches is told first. */
  readonly title: string;
  /** The findings that open, one each; a look-alike has none. */
  readonly findings: readonly FindingKind[];
  /** The probe on whose events they rest. */
  readonly probe?: ProbeName;
}

/** By the letters of the design; a number tells variants of one incident apart. */
export const SCENARIOS = {
  A: scenario("four_tuple_collision", "a SYN lands on an established 4-tuple", {
    probe: "challenge_ack",
    finding: "four_tuple_collision",
  }),
  B1: scenario("nat_insert_race tcp", "two containers, one NAT source port", {
    probe: "conntrack_insert_failed",
    finding: "nat_insert_race",
  }),
  "B1-random": scenario("nat_insert_race tcp_random_fully", "the same with --random-fully"),
  B2: scenario("nat_insert_race dns", "a DNS request lost to the other container's", {
    probe: "conntrack_insert_failed",
    finding: "nat_insert_race",
  }),
  "B2-socket": scenario("nat_insert_race dns_one_socket", "A and AAAA from one socket at once"),
  B3: scenario("nat_ports", "five connections through a NAT rule with four ports", {
    probe: "conntrack_insert_failed",
    // Its first refusal looks like a lost race, which the second one's finding replaces.
    finding: "nat_ports_exhausted",
    before: "nat_insert_race",
  }),
  C1: scenario("local_ports plain", "1,000 connects to one destination from 200 ports", {
    probe: "connect",
    finding: "local_port_exhaustion",
  }),
  C2: scenario("local_ports bind_before_connect", "bind() before connect() locks the ports", {
    probe: "connect",
    finding: "port_locked_by_bind",
  }),
  C3: scenario("local_ports bind_address_no_port", "the same with IP_BIND_ADDRESS_NO_PORT"),
  C4: scenario("local_ports send", "a UDP socket for each of 300 datagrams, and 200 ports", {
    probe: "port_bind",
    finding: "local_port_exhaustion",
  }),
  "C4-one": scenario("local_ports send_by_one", "the same datagrams by one socket"),
  "C-low": scenario("local_ports low", "120 of 200 ports taken towards one destination", {
    probe: "connect",
    finding: "local_ports_low",
  }),
  "C-waiting": scenario(
    "local_ports time_wait",
    "the same in TIME_WAIT, of connections that are over",
    {
      probe: "connect",
      finding: "local_ports_low",
    },
  ),
  D: scenario("udp_overshadowing shared", "two UDP sockets on one 4-tuple", {
    probe: "connect",
    finding: "udp_overshadowing",
  }),
  "D-own-port": scenario("udp_overshadowing own_port", "the same with a local port for each"),
  "D-exclusive": scenario("udp_overshadowing exclusive", "the same without SO_REUSEADDR"),
  "D-kernel": scenario(
    "udp_overshadowing kernel",
    "48 UDP sockets to which the kernel gives ports",
    {
      probe: "connect",
      finding: "udp_overshadowing",
    },
  ),
  self: scenario("self_connect closed", "a client of a closed local port connects to itself", {
    probe: "connect",
    finding: "self_connect",
  }),
  "self-listening": scenario("self_connect listening", "the same with a service that listens"),
  "self-address": scenario("self_connect other_address", "the same port at another address"),
  E: scenario("stale_flow redirect", "a sidecar's DNS looped back to itself", {
    probe: "stale_flow",
    finding: "stale_conntrack_reuse",
  }),
  "E-notrack": scenario("stale_flow notrack", "the same with NOTRACK"),
  stolen: scenario("port_conflicts stolen", "an outgoing connection has the service's port", {
    probe: "port_bind",
    finding: "port_held_by_connection",
  }),
  "stolen-service": scenario("port_conflicts other_service", "another service has it"),
  tuple: scenario("port_conflicts held", "a connection from a fixed port that another one has", {
    probe: "connect",
    finding: "source_tuple_taken",
  }),
  "tuple-waiting": scenario("port_conflicts waiting", "the same, in TIME_WAIT", {
    probe: "connect",
    finding: "source_tuple_taken",
  }),
  "tuple-free": scenario("port_conflicts free", "the same with TCP timestamps, which gives way"),
  full: scenario("table_full", "more flows than the conntrack table holds", {
    probe: "conntrack_insert_failed",
    finding: "conntrack_table_full",
  }),
  clean: scenario("clean 3000", "ordinary traffic, in which nothing is wrong"),
} as const satisfies Record<string, Scenario>;

export type ScenarioName = keyof typeof SCENARIOS;

interface Incident {
  readonly probe: ProbeName;
  readonly finding: FindingKind;
  /** One that opens first, and is replaced. */
  readonly before?: FindingKind;
}

function scenario(command: string, title: string, incident?: Incident): Scenario {
  const [script = "", ...args] = command.split(" ");
  if (incident === undefined) return { script, args, title, findings: [] };
  const { probe, finding, before } = incident;
  const findings = before === undefined ? [finding] : [before, finding];
  return { script, args, title, findings, probe };
}
