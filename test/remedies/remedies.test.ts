import assert from "node:assert/strict";
import { execFileSync } from "node:child_process";
import { after, before, describe, test } from "node:test";
import type { FindingJson } from "../../src/findings/finding.ts";
import { hasHidden } from "../../src/util/text.ts";
import { SCENARIOS, type Scenario, type ScenarioName } from "../scenarios/catalog.ts";
import { type Incident, observe } from "../scenarios/incident.ts";
import type { PlayOptions } from "../scenarios/play.ts";
import { getFindings } from "../support/api.ts";
import { TestCgroup } from "../support/cgroup.ts";
import { suiteDaemon } from "../support/commands.ts";
import { until } from "../support/until.ts";
import { inside, nameOf, remedyWith, Terminal, takeBack } from "./terminal.ts";

/** All scenarios on an emulated machine. */
const LIMIT_MS = 2_400_000;

/** Of a SYN that was sent again, or a question asked again. */
const LATE_SECONDS = 0.9;

/** Each would make a file if it were run. */
const HOSTILE = {
  SCENARIO_NAMES: "'; touch MARK; $(touch MARK) `touch MARK` \"#-n größe",
  SCENARIO_COMMS: "\n;$(>MARK)\u001b[2J",
};
/** The kernel refuses only '\n' (cgroup_mkdir). */
const HOSTILE_CGROUP = "a;touch MARK;$(touch MARK) 'b";

/** Of each kind of finding. */
const INCIDENTS: readonly ScenarioName[] = [
  "A",
  "B1",
  "B3",
  "C1",
  "C2",
  "C4",
  "C-low",
  "D",
  "self",
  "stolen",
  "tuple-waiting",
  "E",
  "full",
];

/** The finding that is open when all of the scenario is over. */
async function withFinding(
  url: string,
  scenario: Scenario,
  act: (finding: FindingJson, incident: Incident) => Promise<void> | void,
  options: PlayOptions = {},
  isComplete: (finding: FindingJson) => boolean = () => true,
): Promise<void> {
  const expected = scenario.findings.at(-1);
  const whileUp = async (incident: Incident) => {
    const ids = incident.opened.map(({ id }) => id);
    const isIt = (one: FindingJson) =>
      one.kind === expected && ids.includes(one.id) && isComplete(one);
    let finding: FindingJson | undefined;
    await until(async () => {
      finding = (await getFindings(url, "state=active")).find(isIt);
      return finding !== undefined;
    }, `${expected} of ${scenario.script}`);
    assert.ok(finding);
    await act(finding, incident);
  };
  await observe(url, scenario, whileUp, options);
}

describe("remedies cure", () => {
  const daemon = suiteDaemon([], { timeoutMs: LIMIT_MS });
  let terminal: Terminal;

  before(() => {
    execFileSync("modprobe", ["nf_conntrack"]);
    terminal = new Terminal();
  });
  after(() => terminal.close());

  const withIncident = (
    name: ScenarioName,
    act: (finding: FindingJson, incident: Incident) => Promise<void>,
    isComplete?: (finding: FindingJson) => boolean,
  ) => withFinding(daemon.url, SCENARIOS[name], act, {}, isComplete);

  test("A: random ports at the gateways, by nft as by iptables", async () => {
    await withIncident("A", async (finding, { played, again }) => {
      const collide = async () => assert.equal((await again()).fate, "reset", "it happens again");
      const [watching = ""] = remedyWith(finding, /tcpdump/).commands;
      await terminal.watch(watching, collide, /Flags \[S\]/, /Flags \[R\]/);
      const gateways = played.gateways as string[];
      for (const pattern of [/^nft .*fully-random/, /^iptables .*--random-fully$/]) {
        const { where, commands } = remedyWith(finding, pattern);
        assert.equal(where, "the NAT gateway whose address is 192.0.2.1");
        for (const gateway of gateways) {
          const entry = ["ip", "netns", "exec", gateway];
          for (const command of commands) terminal.run(command, ...entry);
        }
        assert.equal((await again()).fate, "closed", "the connection lives until it is closed");
        if (pattern.source.includes("nft")) gateways.forEach(takeBack);
      }
    });
  });

  for (const name of ["B1", "B2"] as const) {
    test(`${name}: random ports, by nft as by iptables`, async () => {
      await withIncident(name, async (finding, { again }) => {
        const host = nameOf(finding.netns?.inum);
        const longest = async () => Math.max(...((await again()).seconds as number[]));
        assert.ok((await longest()) > LATE_SECONDS, "it happens again");
        for (const pattern of [/\bnft .*fully-random/, /\biptables .*--random-fully$/]) {
          terminal.apply(finding, remedyWith(finding, pattern));
          assert.ok((await longest()) < LATE_SECONDS, String(pattern));
          if (pattern.source.includes("nft")) takeBack(host);
        }
        terminal.applyAll(finding);
      });
    });
  }

  test("B3: a wider range of NAT ports, by nft as by iptables", async () => {
    await withIncident("B3", async (finding, { again }) => {
      assert.match(terminal.apply(finding, remedyWith(finding, /conntrack -L/)), /dport=8080/);
      for (const pattern of [/\bnft .*1024-65535/, /\biptables .*1024-65535$/]) {
        assert.equal((await again()).result, "timeout", "it happens again");
        terminal.apply(finding, remedyWith(finding, pattern));
        assert.equal((await again()).result, "ok", String(pattern));
        if (pattern.source.includes("nft")) takeBack(nameOf(finding.netns?.inum));
      }
      terminal.applyAll(finding);
    });
  });

  test("C1: a wider range of local ports", async () => {
    await withIncident("C1", async (finding, { played, again }) => {
      const holders = terminal.apply(finding, remedyWith(finding, /ss -tanp/));
      assert.ok(holders.includes(`pid=${played.pid}`), holders.slice(0, 500));
      const results = (await again()).results as Record<string, number>;
      assert.ok((results.EADDRNOTAVAIL ?? 0) > 0, "it happens again");
      terminal.apply(finding, remedyWith(finding, /ip_local_port_range/));
      assert.deepEqual((await again()).results, { ok: 300 });
      terminal.applyAll(finding);
    });
  });

  test("C2: the line for Python, and a wider range", async () => {
    let line = "";
    await withIncident("C2", async (finding, { played, again }) => {
      line = finding.remedies[0]?.snippets?.at(-1) ?? "";
      assert.match(terminal.apply(finding, remedyWith(finding, /ip route get/)), /src /);
      const holders = terminal.apply(finding, remedyWith(finding, /ss -tanp/));
      assert.ok(holders.includes(`pid=${played.pid}`), holders.slice(0, 500));
      terminal.apply(finding, remedyWith(finding, /ip_local_port_range/));
      assert.deepEqual((await again()).results, { ok: 300 });
      terminal.applyAll(finding);
    });
    await observe(daemon.url, { ...SCENARIOS.C3, args: [line] }, async ({ played, opened }) => {
      assert.deepEqual([played.results, opened], [{ ok: 300 }, []]);
    });
  });

  test("C-low: a wider range of local ports", async () => {
    await withIncident("C-low", async (finding, { played, again }) => {
      const holders = terminal.apply(finding, remedyWith(finding, /ss -tanp/));
      assert.ok(holders.includes(`pid=${played.pid}`), holders.slice(0, 500));
      terminal.apply(finding, remedyWith(finding, /ip_local_port_range/));
      assert.deepEqual((await again()).results, { ok: 300 });
      terminal.applyAll(finding);
    });
  });

  test("C-waiting: ports in TIME_WAIT are taken over", async () => {
    await withIncident("C-waiting", async (finding, { again }) => {
      terminal.apply(finding, remedyWith(finding, /tcp_tw_reuse=1/));
      // 80 are free; the others have been in TIME_WAIT for longer than a second.
      assert.deepEqual((await again()).results, { ok: 150 });
      terminal.applyAll(finding);
    });
  });

  test("D: both sockets are shown; scenarios D-own-port and D-exclusive are the cures", async () => {
    await withIncident("D", async (finding, { played }) => {
      const sockets = terminal.apply(finding, remedyWith(finding, /ss -uanp/));
      for (const pid of [played.older_pid, played.newer_pid]) {
        assert.ok(sockets.includes(`pid=${pid}`), sockets);
      }
    });
  });

  test("D-kernel: the sockets that share a port are shown", async () => {
    await withIncident("D-kernel", async (finding, { played }) => {
      const sockets = terminal.apply(finding, remedyWith(finding, /ss -uanp/));
      const lines = sockets.split("\n").filter((line) => line.includes(`pid=${played.pid}`));
      assert.ok(lines.length >= 2, sockets);
    });
  });

  test("self: the port reserved, beside those that are; the service can bind it", async () => {
    const isRead = ({ consequence }: FindingJson) => consequence.ports_in_range !== undefined;
    const cure = async (finding: FindingJson, { played, again }: Incident) => {
      const shown = terminal.apply(finding, remedyWith(finding, /ss -tanp/));
      assert.ok(shown.includes(`pid=${played.pid}`), shown);
      assert.equal((await again("retry")).itself, true, "it happens again");
      terminal.apply(finding, remedyWith(finding, /ip_local_reserved_ports=9000-9001,20004$/));
      assert.equal((await again("retry")).itself, false);
      assert.equal((await again("serve")).tries, 1, "the service has its port");
      terminal.applyAll(finding);
    };
    await withIncident("self", cure, isRead);
  });

  test("stolen: the port reserved, and the connection that has it ended", async () => {
    await withIncident("stolen", async (finding, { played, again }) => {
      const shown = terminal.apply(finding, remedyWith(finding, /ss -tanp/));
      assert.ok(shown.includes(`pid=${played.holder_pid}`), shown);
      terminal.apply(finding, remedyWith(finding, /ip_local_reserved_ports=9000-9001,10254$/));
      terminal.apply(finding, remedyWith(finding, /ss -K/));
      const { results, ports } = await again();
      assert.deepEqual(results, ["ok"], "the service has its port");
      assert.ok((ports as number[]).length > 0, "the client connects as before");
      assert.ok(!(ports as number[]).includes(Number(played.port)), String(ports));
    });
  });

  test("tuple-waiting: TCP timestamps, as in scenario tuple-free", async () => {
    await withIncident("tuple-waiting", async (finding, { again }) => {
      assert.deepEqual((await again()).results, ["EADDRNOTAVAIL"], "it happens again");
      terminal.applyAll(finding);
    });
  });

  test("E: the entry deleted; and notrack, by nft as by iptables", async () => {
    await withIncident("E", async (finding, { again }) => {
      assert.equal((await again("question")).looped, "proxy", "it goes on");
      terminal.apply(finding, remedyWith(finding, /conntrack -D/));
      assert.equal((await again("question")).answer, "answer to proxy");
      assert.equal((await again("incident")).looped, "proxy", "on another port it happens again");
      for (const pattern of [/\bnft .*notrack/, /\biptables .*--notrack$/]) {
        terminal.apply(finding, remedyWith(finding, pattern));
        const { answer, looped, cached } = await again("incident");
        assert.deepEqual([answer, looped], ["answer to proxy", null]);
        assert.equal(cached, "cached", "the application is redirected as before");
        if (pattern.source.includes("nft")) takeBack(nameOf(finding.netns?.inum));
      }
      terminal.applyAll(finding);
    });
  });

  test("full: a greater table", async () => {
    await withIncident("full", async (finding, { played, again }) => {
      const counts = terminal.apply(finding, remedyWith(finding, /conntrack -L/));
      assert.match(counts, /^ *\d+ udp/);
      assert.ok(Number((await again()).refused) > 0, "it is still full");
      terminal.apply(finding, remedyWith(finding, /nf_conntrack_max=/));
      assert.equal((await again()).refused, 0);
      const limit = inside(nameOf(played.netns), "sysctl", "-n", "net.netfilter.nf_conntrack_max");
      assert.equal(Number(limit), 2 * Number(played.limit));
      terminal.applyAll(finding);
    });
  });
});

describe("remedies where names are shell commands", () => {
  const daemon = suiteDaemon([], { timeoutMs: LIMIT_MS });
  let terminal: Terminal;
  let cgroup: TestCgroup;

  before(() => {
    terminal = new Terminal();
    cgroup = new TestCgroup(HOSTILE_CGROUP);
  });
  after(() => {
    cgroup.delete();
    terminal.close();
  });

  for (const name of INCIDENTS) {
    test(`${name}: do what they say, and nothing else`, async () => {
      const check = (finding: FindingJson) => {
        assert.ok(finding.parties.some((party) => party.cgroup?.path?.endsWith(HOSTILE_CGROUP)));
        const lines = finding.remedies.flatMap(({ commands }) => commands);
        assert.ok(lines.some((line) => line.includes("touch MARK")));
        assert.ok(!lines.some(hasHidden));
        terminal.applyAll(finding, true);
      };
      const options = { env: HOSTILE, cgroup: cgroup.path };
      await withFinding(daemon.url, SCENARIOS[name], check, options);
    });
  }
});
