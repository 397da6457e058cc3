import assert from "node:assert/strict";
import { after, before, describe, test } from "node:test";
import { getFindings, getPorts, getStatus } from "../support/api.ts";
import { type DaemonProcess, startDaemonProcess, stopDaemon } from "../support/commands.ts";
import { Netns } from "../support/netns.ts";
import { type HeldPorts, holdPorts } from "../support/ports.ts";

describe("answers of a running daemon are as their schema has them", () => {
  let daemon: DaemonProcess;
  let netns: Netns;
  let held: HeldPorts;

  before(async () => {
    netns = new Netns();
    held = await holdPorts(netns, { tcp: 5, time_wait: 2 });
    daemon = await startDaemonProcess();
  });
  after(async () => {
    await stopDaemon(daemon);
    await held.end();
    netns.delete();
  });

  test("/status, with probes and namespaces", async () => {
    const { kernel, schema_version: version } = await getStatus(daemon.url);
    assert.match(version, /^\d+\.\d+$/);
    assert.ok(kernel?.probes.some(({ backend }) => backend !== null));
    const found = kernel?.network_namespaces.find(({ name }) => name === netns.name);
    assert.ok(found && found.local_ports.top_destinations.length > 0);
  });

  test("/ports, with holders and sockets that have none", async () => {
    const report = await getPorts(daemon.url, `netns=${netns.name}`);
    const holders = report.network_namespaces[0]?.holders ?? [];
    assert.ok(holders.some(({ process }) => process?.pid === held.pid));
    assert.ok(holders.some(({ without }) => without === "time_wait"));
  });

  test("/findings", async () => {
    assert.deepEqual(await getFindings(daemon.url, "kind=udp_overshadowing"), []);
  });
});
