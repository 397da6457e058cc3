import { type Finished, start } from "../support/commands.ts";
import type { Attempts } from "../support/connects.ts";
import { FAULTS, Netns } from "../support/netns.ts";

/** In a namespace with eight local ports; each attempt is one call of connect(). */
const KINDS = {
  bind_before_connect: 4,
  exhausted: 12,
  udp_exhausted: 12,
  udp_pair: 4,
  refused: 20,
  no_route: 5,
};

const CHALLENGES = ["tcp_invalid_ratelimit=0", "syn", "vanish:syn"];

/** Connections over loopback in namespaces of their own, all from one cgroup. */
export class Load {
  /** Calls of connect() so far. */
  connects = 0;
  readonly #cgroup: string;

  constructor(cgroup: string) {
    this.#cgroup = cgroup;
  }

  /** `rate` ordinary connections a second, and among them some that fail. */
  async round(rate: number, seconds: number): Promise<void> {
    const count = Math.round(rate * seconds);
    const limit = { timeoutMs: (seconds + 60) * 1000 };
    const ordinary = this.#run(["build/bench/connects", String(count), String(rate)], limit);
    const args = Object.entries(KINDS).flatMap(([kind, times]) => [kind, String(times)]);
    const failing = this.#run(["python3", `${FAULTS}connects.py`, ...args], limit);
    await Promise.all([ordinary, failing, challenge()]);
    this.connects += count;
    const made = (await failing).stdout.trim().split("\n");
    for (const line of made) this.connects += (JSON.parse(line) as Attempts).attempts.length;
  }

  async #run(command: readonly string[], limit: { timeoutMs: number }): Promise<Finished> {
    const script = `echo $$ > ${this.#cgroup}/cgroup.procs
      ip link set lo up
      case $1 in python3) echo 30000 30007 > /proc/sys/net/ipv4/ip_local_port_range;; esac
      exec "$@"`;
    const args = ["--net", "sh", "-ec", script, "sh", ...command];
    const done = await start("unshare", args, {}, "", limit).done;
    if (done.code !== 0) throw new Error(`${command[0]}: exit code ${done.code}: ${done.stderr}`);
    return done;
  }
}

/** Two challenged connections, of which one is reset: events of two more kinds. */
async function challenge(): Promise<void> {
  const netns = new Netns();
  try {
    await netns.faultWhile("challenge.py", ...CHALLENGES);
  } finally {
    netns.delete();
  }
}
