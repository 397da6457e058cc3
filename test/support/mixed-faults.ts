import { start } from "./commands.ts";
import type { Attempts } from "./connects.ts";
import { FAULTS, Netns } from "./netns.ts";

/** How many events of a kind a process must have caused, by what describes them. */
export type Expected = Map<string, number>;

/** Faults whose number is known, some by what the kernel counted. */
export class MixedFaults {
  /** By the keys of EventTally. */
  readonly expected: Expected = new Map();
  rounds = 0;

  /** One of each kind, in namespaces of their own; takes some seconds. */
  async round(): Promise<void> {
    this.rounds++;
    await this.#conntrack();
    const netns = new Netns();
    try {
      netns.sysctl("net.ipv4.ip_local_port_range", "30000 30007");
      await this.#connects(netns);
    } finally {
      netns.delete();
    }
    await this.#challenges();
  }

  #add(key: string, count: number): void {
    if (count > 0) this.expected.set(key, (this.expected.get(key) ?? 0) + count);
  }

  /** The losers' processes are named but for a retransmit of a SYN, which a timer sends. */
  async #conntrack(): Promise<void> {
    const faults = ["snat_udp", "snat_udp6", "snat_tcp", "snat_icmp", "firewall"];
    const done = await start("python3", [`${FAULTS}conntrack_faults.py`, ...faults]).done;
    for (const line of lines(done)) {
      const { fault, pid, moved } = line as {
        fault: string;
        pid: number;
        moved: { insert_failed: number };
      };
      const protocol = fault.includes("udp") ? "udp" : fault === "snat_tcp" ? "tcp" : "icmp";
      this.#add(`conntrack_insert_failed ${pid} ${protocol} dropped clash`, moved.insert_failed);
      if (fault !== "snat_tcp") continue;
      this.#add(`connect ${pid} tcp ok`, 4);
      this.#add(`connect ${pid} tcp ECANCELED`, 1);
    }
  }

  async #connects(netns: Netns): Promise<void> {
    const kinds = { exhausted: 12, udp_exhausted: 12, udp_pair: 3, refused: 4, no_route: 2 };
    const args = Object.entries(kinds).flatMap(([kind, count]) => [kind, String(count)]);
    const done = await netns.spawn("python3", `${FAULTS}connects.py`, ...args).done;
    const made = lines(done) as Attempts[];
    Object.keys(kinds).forEach((kind, index) => {
      const { pid, attempts } = made[index] as Attempts;
      attempts.forEach(({ result }, attempt) => {
        const protocol = kind.startsWith("udp") ? "udp" : "tcp";
        const conflict = kind === "udp_pair" && attempt % 2 === 1 ? " conflict" : "";
        this.#add(`connect ${pid} ${protocol} ${result}${conflict}`, 1);
      });
    });
  }

  async #challenges(): Promise<void> {
    const netns = new Netns();
    try {
      const steps = ["tcp_invalid_ratelimit=0", "rst+syn+old_ack", "vanish:syn"];
      const [three] = await netns.faultWhile<{ pid: number }[]>("challenge.py", ...steps);
      const { pid } = three as { pid: number };
      this.#add(`challenge_ack ${pid} rst`, 1);
      this.#add(`challenge_ack ${pid} syn`, 2);
      this.#add(`challenge_ack ${pid} ack_too_old`, 1);
      this.#add(`challenge_outcome ${pid} reset_by_peer`, 1);
      this.#add(`challenge_outcome ${pid} closed`, 1);
      this.#add(`connect ${pid} tcp ok`, 2);
    } finally {
      netns.delete();
    }
  }
}

function lines({ code, stdout, stderr }: Awaited<ReturnType<typeof start>["done"]>): unknown[] {
  if (code !== 0) throw new Error(`a fault ended with exit code ${code}: ${stderr}`);
  return stdout
    .trim()
    .split("\n")
    .map((line) => JSON.parse(line) as unknown);
}
