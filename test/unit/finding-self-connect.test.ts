import assert from "node:assert/strict";
import { describe, it } from "node:test";
import type { PortQueryResult } from "../../src/ports/query.ts";
import { commands, connectFields, endpoint, portAnswer, Scene } from "../support/findings.ts";

function answer(reserved: string): PortQueryResult {
  const range = { low: 32768, high: 60999, available: 28232 };
  return portAnswer({
    range: { ...range, ...(reserved !== "" && { reserved }) },
    taken: { total: 3, towards: 0, locked: 0, waiting: 0 },
  });
}

function itself(text = "127.0.0.1:40000", more: object = {}): object {
  return connectFields({ local: endpoint(text), peer: endpoint(text), ...more });
}

async function findings(reserved: string | undefined, ...events: object[]): Promise<Scene> {
  const ports = reserved === undefined ? undefined : answer(reserved);
  const scene = new Scene({ queryPorts: () => ports });
  for (const event of events) scene.take("connect", event);
  await scene.settle();
  return scene;
}

describe("self_connect", () => {
  it("is a TCP connection whose two ends are one", async () => {
    const { only, portQueries } = await findings("", itself(), itself());
    assert.deepEqual([only.kind, only.severity, only.count], ["self_connect", "warning", 2]);
    assert.match(
      only.summary,
      /^crawler \(pid 812\) is connected to itself: .*, 2 times so far\.$/,
    );
    assert.match(only.explanation, /local ports, 32768-60999, that the kernel chooses from/);
    assert.match(only.explanation, /service .* port 40000 cannot bind/);
    assert.deepEqual(only.consequence, { self_connects: 2, ports_in_range: 28232 });
    assert.deepEqual(
      only.parties.map(({ role, local, peer }) => [role, local, peer]),
      [["client", endpoint("127.0.0.1:40000"), endpoint("127.0.0.1:40000")]],
    );
    assert.equal(portQueries.length, 1, "the range is read once");
    assert.match(
      commands(only),
      /^ip netns exec web ss -tanp 'src 127\.0\.0\.1:40000 and dst 127\.0\.0\.1:40000'$/m,
    );
    assert.match(
      commands(only),
      /^ip netns exec web sysctl -w net\.ipv4\.ip_local_reserved_ports=40000$/m,
    );
  });

  it("is the same over IPv6", async () => {
    const { only } = await findings("", itself("[::1]:40000"));
    assert.match(only.summary, /connect\(\) to \[::1\]:40000 got/);
  });

  it("keeps the ports that are reserved already, and those of the others in the namespace", async () => {
    const { engine } = await findings("8080,9000-9010", itself(), itself("127.0.0.1:40002"));
    const all = engine.findings().map((finding) => commands(finding));
    assert.equal(all.length, 2);
    for (const text of all) assert.match(text, /_ports=8080,9000-9010,40000,40002$/m);
  });

  it("has no command for a list that is not known, or too long to be typed", async () => {
    for (const reserved of [undefined, "1,".repeat(2000)]) {
      const { only } = await findings(reserved, itself());
      assert.doesNotMatch(commands(only), /sysctl -w/);
      assert.match(commands(only), /Add 40000 to the list of net\.ipv4\.ip_local_reserved_ports/);
    }
  });

  it("needs no reserved port where the program chose it", async () => {
    const { only, portQueries } = await findings(
      "",
      itself(undefined, { technique: "bound_port" }),
    );
    assert.equal(portQueries.length, 0);
    assert.doesNotMatch(commands(only), /ip_local_reserved_ports/);
    assert.match(only.explanation, /had bound its socket to the port/);
  });

  const local = endpoint("127.0.0.1:40000");
  const clean: [string, object][] = [
    ["the same port at another address", { local, peer: endpoint("127.0.0.2:40000") }],
    ["another port at the same address", { local, peer: endpoint("127.0.0.1:40001") }],
    ["a connect that failed", { local, peer: local, result: "ECONNREFUSED" }],
    ["UDP", { local, peer: local, protocol: "udp" }],
    ["a socket whose local side is not known", { peer: local }],
  ];
  for (const [what, more] of clean) {
    it(`is not ${what}`, async () => {
      assert.deepEqual((await findings("", connectFields(more))).kinds, []);
    });
  }
});
