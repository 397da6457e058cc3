/** One incident, rebuilt by a script of this folder. */
export interface Scenario {
  readonly script: string;
  readonly args: readonly string[];
  /** What a person who watches is told first. */
  readonly title: string;
}

/** By the letters of the design; a number tells variants of one incident apart. */
export const SCENARIOS = {
  A: scenario("four_tuple_collision", "a SYN lands on an established 4-tuple"),
  B1: scenario("nat_insert_race tcp", "two containers, one NAT source port"),
  "B1-random": scenario("nat_insert_race tcp_random_fully", "the same with --random-fully"),
  B2: scenario("nat_insert_race dns", "a DNS request lost to the other container's"),
  "B2-socket": scenario("nat_insert_race dns_one_socket", "A and AAAA from one socket at once"),
  C1: scenario("local_ports plain", "1,000 connects to one destination from 200 ports"),
  C2: scenario("local_ports bind_before_connect", "bind() before connect() locks the ports"),
  C3: scenario("local_ports bind_address_no_port", "the same with IP_BIND_ADDRESS_NO_PORT"),
  D: scenario("udp_overshadowing", "two UDP sockets on one 4-tuple"),
  E: scenario("stale_flow redirect", "a sidecar's DNS looped back to itself"),
  "E-notrack": scenario("stale_flow notrack", "the same with NOTRACK"),
  clean: scenario("clean 3000", "ordinary traffic, in which nothing is wrong"),
} as const satisfies Record<string, Scenario>;

export type ScenarioName = keyof typeof SCENARIOS;

/** Scenarios whose findings rest on what a probe saw, by its name. */
export const PROBE_SCENARIOS: Readonly<Record<string, readonly ScenarioName[]>> = {
  challenge_ack: ["A"],
  conntrack_insert_failed: ["B1", "B2"],
  connect: ["C1", "C2", "D"],
  stale_flow: ["E"],
};

function scenario(command: string, title: string): Scenario {
  const [script = "", ...args] = command.split(" ");
  return { script, args, title };
}
