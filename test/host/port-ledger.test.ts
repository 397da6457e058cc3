import assert from "node:assert/strict";
import { after, before, describe, test } from "node:test";
import { type BpfMap, recordViews } from "libbpf-ts";
import { pino } from "pino";
import { defaultConfig } from "../../src/config/load.ts";
import { Watch } from "../../src/daemon/watch/watch.ts";
import { decodePortEntry, type PortEntry, portEntryLayout } from "../../src/events/events.gen.ts";
import { WallClock } from "../../src/kernel/clock.ts";
import { PortLedger } from "../../src/ports/ledger.ts";
import type { PortHolder } from "../../src/ports/ports.schema.ts";
import { queryPorts } from "../../src/ports/query.ts";
import { getPorts } from "../support/api.ts";
import { servingPid, suiteDaemon, tuplewatch } from "../support/commands.ts";
import { Netns } from "../support/netns.ts";
import { find } from "../support/ports.ts";
import { until } from "../support/until.ts";

/** What test/faults/port_openers.py prints. */
interface Opened {
  readonly pids: Readonly<Record<string, readonly number[]>>;
}

const FLOOD = 60_000;
const FLOODER = 61_234;
const MODEST_ENTRIES = 16_384;

type Held = Awaited<ReturnType<typeof open>>;

/** Ports whose openers have ended, in a namespace of their own until `end`. */
async function open(steps: Readonly<Record<string, number>>) {
  const netns = new Netns();
  netns.sysctl("net.ipv4.ip_local_port_range", "20000 20999");
  const args = Object.entries(steps).map(([kind, count]) => `${kind}=${count}`);
  const { made, end } = await netns.faultHeld<Opened>("port_openers.py", ...args);
  return { netns, pids: made.pids, end };
}

async function close({ netns, end }: Held): Promise<void> {
  await end();
  netns.delete();
}

/** Without what differs from run to run; the process must be one of those that opened. */
function plain(holders: readonly PortHolder[], { pids }: Held): object[] {
  return holders
    .map(({ process, processes, without, ports }) => {
      assert.ok(process && pids[process.comm]?.includes(process.pid), JSON.stringify(process));
      const { comm, uid } = process;
      return { comm, uid, ports, ...(processes && { processes }), ...(without && { without }) };
    })
    .sort((one, other) => one.comm.localeCompare(other.comm));
}

describe("the ledger of who opened local ports", () => {
  const daemon = suiteDaemon();
  let held: Held;
  let twin: Held;

  before(async () => {
    held = await open({ connecting: 12, binding: 7, talking: 5, starting: 2, fixed: 3 });
    twin = await open({ fixed: 4 });
  });
  after(async () => {
    await close(held);
    await close(twin);
  });

  const holders = async ({ netns }: Held) => {
    const report = await getPorts(daemon.url, `netns=${netns.name}`);
    return report.network_namespaces[0]?.holders ?? [];
  };

  const EXPECTED = [
    { comm: "binding", uid: 0, ports: 7, without: "time_wait" },
    { comm: "connecting", uid: 0, ports: 12, processes: 12, without: "time_wait" },
    { comm: "fixed", uid: 0, ports: 3, without: "time_wait" },
    { comm: "starting", uid: 0, ports: 2 },
    { comm: "talking", uid: 0, ports: 5 },
  ];

  test("names processes that are gone, of ports in TIME_WAIT and of sockets left to others", async () => {
    assert.deepEqual(plain(await holders(held), held), EXPECTED);
  });

  test("`tuplewatch ports` says who opened them", async () => {
    const args = ["ports", "--url", daemon.url, "--netns", held.netns.name];
    const { stdout } = await tuplewatch(args).done;
    assert.match(stdout, / 12 +time_wait, opened by connecting\S* \(12 processes\)\n/);
    assert.match(stdout, / 7 +time_wait, opened by binding\[\d+\]/);
    assert.match(stdout, / 5 +talking\[\d+\]/);
  });

  test("the same ports in another namespace are another's", async () => {
    assert.deepEqual(plain(await holders(twin), twin), [
      { comm: "fixed", uid: 0, ports: 4, without: "time_wait" },
    ]);
  });

  test("loses nothing when the serving process is killed", async () => {
    const pid = servingPid(daemon);
    process.kill(pid, "SIGKILL");
    await until(async () => {
      const answer = await fetch(`${daemon.url}/healthz`).catch(() => undefined);
      return answer?.status === 200 && servingPid(daemon) !== pid;
    }, "another one serves");
    assert.deepEqual(plain(await holders(held), held), EXPECTED);
  });

  test(`${FLOOD} ports of one user push out nobody else's`, async () => {
    const flood = await open({ flooding: FLOOD });
    await close(flood);
    assert.deepEqual(plain(await holders(held), held), EXPECTED);
  });
});

/** In this process: what is asked of it needs no daemon. */
describe("the ledger's answers", () => {
  const config = { ...defaultConfig(), listen: [], probes: ["connect", "port_bind"] as const };
  const watch = new Watch({
    config,
    logger: pino({ level: "silent" }),
    onChanging: () => {},
    onChanged: () => {},
  });
  const clock = new WallClock();
  const ledger = new PortLedger(() => watch.portLedger);

  before(() => watch.attach());
  after(() => watch.close());

  const query = ({ inum, cookie }: { inum: number; cookie: bigint | undefined }) => ({
    key: "",
    netns: { inum, ...(cookie !== undefined && { cookie: String(cookie) }) },
    pid: undefined,
    protocol: "tcp" as const,
    range: { low: 20_000, high: 20_999 },
  });

  test("of a namespace that is gone: who had its ports when a call failed", async () => {
    const beforeMs = clock.nowMs();
    const held = await open({ connecting: 6, fixed: 3 });
    const namespace = await find(held.netns);
    const afterMs = clock.nowMs();
    await close(held);
    const found = await queryPorts({ ...query(namespace), failedAtMs: afterMs }, ledger);
    assert.deepEqual(plain(found?.holders ?? [], held), [
      { comm: "connecting", uid: 0, ports: 6, processes: 6, without: "closed" },
      { comm: "fixed", uid: 0, ports: 3, without: "closed" },
    ]);
    assert.deepEqual(found?.taken, { total: 9, towards: 9, locked: 3, waiting: 0, states: {} });
    assert.equal(found?.range, undefined);

    const bounds = { low: 20_900, high: 0 };
    const some = await queryPorts(
      { ...query(namespace), range: bounds, failedAtMs: afterMs },
      ledger,
    );
    assert.ok((some?.taken.total ?? 0) >= 3, "a bound of 0 is none");

    const early = await queryPorts({ ...query(namespace), failedAtMs: beforeMs }, ledger);
    assert.equal(early, undefined, "before they were opened");
  });

  test("one who opens many has few places among those of the others", async () => {
    await close(await open({ flooding: FLOOD }));
    const [large = 0, modest = 0] = watch.portLedger.map(entriesOfFlooder);
    assert.ok(large > FLOOD / 2, `${large} entries`);
    assert.ok(modest >= 512 && modest < MODEST_ENTRIES / 4, `${modest} entries`);
  });

  test("a port that is opened again has one entry, whichever table that is in", async () => {
    const netns = new Netns();
    const ports = 1200;
    const twice = Array.from({ length: 2 }, () => `flooding=${ports}`);
    const { end } = await netns.faultHeld<Opened>("port_openers.py", ...twice);
    const { cookie, inum } = await find(netns);
    await end();
    netns.delete();
    const entries = watch.portLedger.map((map) => entriesOf(map, cookie ?? BigInt(inum)));
    const [large = 0, modest = 0] = entries;
    assert.equal(large + modest, ports + 1, "and the listener's");
    assert.ok(large >= ports - 512, `${entries}`);
  });

  function entriesOf(map: BpfMap, netns: bigint): number {
    return count(map, ({ key }) => key.netns === netns);
  }

  function entriesOfFlooder(map: BpfMap): number {
    return count(map, ({ opener }) => opener.process.uid === FLOODER);
  }

  /** Of places that are not empty. */
  function count(map: BpfMap, is: (entry: PortEntry) => boolean): number {
    return map.withMemory((values) => {
      const views = recordViews(values, 0, values.byteLength);
      let entries = 0;
      for (let index = 0; index < map.maxEntries; index++) {
        const entry = decodePortEntry(views, index * portEntryLayout.size);
        if (entry.opener.timeNs !== 0n && is(entry)) entries++;
      }
      return entries;
    });
  }
});
