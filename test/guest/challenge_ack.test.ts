import { release } from "node:os";
import { after, before, describe, type TestContext, test } from "node:test";
import { provokeChallenges } from "../support/challenge-faults.ts";
import { Seen, testChallenges } from "../support/challenges.ts";
import { startDaemonProcess } from "../support/commands.ts";
import { Netns } from "../support/netns.ts";
import { isOlder, sinceKernel } from "../vm/requires.ts";

type Daemon = Awaited<ReturnType<typeof startDaemonProcess>>;

/** The oldest kernel of the matrix that permits a backend, and why no older one does. */
const BACKENDS: Readonly<Record<string, readonly [since: string, why: string]>> = {
  fentry: ["6.1", "tcp_send_challenge_ack is in BTF under its own name"],
  kprobe: ["5.10", "kprobes read the kernel's memory by BTF"],
  drop_tracepoint: ["6.11", "kfree_skb has the socket as its fourth argument"],
};

const HALF_OPEN = ["6.1", "tcp_reqsk_send_challenge_ack challenges half-open connections"] as const;

const KERNEL = release();

/** The same faults, seen at once by a daemon for each backend: they must tell the same. */
describe("challenge_ack", () => {
  const daemons = new Map<string, Daemon>();
  const seen = new Map<string, Seen>();
  const netns = new Netns();

  before(async () => {
    for (const [backend, [since]] of Object.entries(BACKENDS)) {
      if (isOlder(KERNEL, since)) continue;
      const args = ["--probes", "challenge_ack", "--backend", backend];
      daemons.set(backend, await startDaemonProcess(args));
    }
    const faults = await provokeChallenges(netns);
    for (const [backend, { url }] of daemons) {
      seen.set(backend, await Seen.by(url, faults, netns));
    }
  });
  after(async () => {
    netns.delete();
    for (const { child, done } of daemons.values()) {
      child.kill("SIGTERM");
      await done;
    }
  });

  for (const [backend, [since, why]] of Object.entries(BACKENDS)) {
    if (isOlder(KERNEL, since)) {
      test(`${backend}: everything`, (t) => void sinceKernel(t, since, why));
      continue;
    }
    const halfOpen = (t: TestContext) => sinceKernel(t, ...HALF_OPEN);
    testChallenges(
      backend,
      () => seen.get(backend) as Seen,
      backend === "drop_tracepoint" ? undefined : halfOpen,
    );
  }
});
