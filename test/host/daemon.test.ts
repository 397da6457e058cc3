import assert from "node:assert/strict";
import { connect, type Socket } from "node:net";
import { describe, it, type TestContext } from "node:test";
import { pino } from "pino";
import { Gauge } from "prom-client";
import { defaultConfig } from "../../src/config/load.ts";
import type { DaemonConfig } from "../../src/config/options.ts";
import {
  type Daemon,
  type KernelStage,
  type KernelStageFactory,
  startDaemon,
} from "../../src/daemon/daemon.ts";
import { createLocateNetns } from "../../src/findings/locate-netns.ts";
import { openListeners } from "../../src/http/listen/open.ts";
import type { Journal } from "../../src/journal/journal.ts";
import { NO_LEDGER } from "../../src/ports/ledger.ts";
import { type PortQuery, queryPorts } from "../../src/ports/query.ts";
import { type PortReportQuery, portReport } from "../../src/ports/report.ts";
import { curl } from "../support/commands.ts";
import { accountedFor, connectBatch, parseNdjson } from "../support/events.ts";
import { accessOf, KERNEL_STATUS, LOOPBACK } from "../support/server.ts";
import { until } from "../support/until.ts";

const LOG = { logger: pino({ level: "silent" }), droppedLines: () => 0 };
const CONFIG = { ...defaultConfig(), listen: [LOOPBACK] };

/** With access to this process's own kernel, as the privileged one has it. */
async function start(config: DaemonConfig, create?: KernelStageFactory): Promise<Daemon> {
  const options = {
    listeners: await openListeners(config.listen),
    sources: {
      locateNetns: createLocateNetns(),
      queryPorts: (query: PortQuery) => queryPorts(query, NO_LEDGER),
      portReport: (query: PortReportQuery) => portReport(query, NO_LEDGER),
    },
    started: { at: new Date().toISOString(), bootMs: 0 },
  };
  return startDaemon(config, LOG, accessOf(), options, create);
}

/** Appends what the test gives it. */
function stageOf(parts: Partial<KernelStage>): KernelStage {
  return {
    start: async () => {},
    status: async () => KERNEL_STATUS,
    ready: () => ({ ok: true }),
    stop: async () => {},
    ...parts,
  };
}

describe("the daemon and its kernel stage", () => {
  it("serve what the stage appends, its status and its metrics", async (t) => {
    let journal: Journal | undefined;
    const create: KernelStageFactory = ({ registry }) => {
      const name = "tuplewatch_probe_attached";
      new Gauge({ name, help: "test", registers: [registry] }).set(1);
      return stageOf({
        start: async (given) => {
          journal = given;
        },
      });
    };
    const daemon = await start(CONFIG, create);
    t.after(daemon.stop);
    journal?.append(connectBatch(2));
    const get = async (path: string) => (await curl(daemon.address + path).done).stdout;
    assert.equal(parseNdjson(await get("/events?follow=false")).length, 2);
    const status = JSON.parse(await get("/status"));
    assert.deepEqual(status.kernel, KERNEL_STATUS);
    assert.equal(status.journal.next_seq, 3);
    assert.match(await get("/metrics"), /^tuplewatch_probe_attached 1$/m);
  });

  it("are not ready before everything is attached", async (t) => {
    let attached = () => {};
    let started = false;
    const create = () =>
      stageOf({
        start: () => {
          started = true;
          return new Promise((resolve) => {
            attached = resolve;
          });
        },
      });
    const port = 20000 + (process.pid % 10000);
    const listen = [{ ...LOOPBACK, port }];
    const starting = start({ ...CONFIG, listen }, create);
    await until(() => started, "the stage is starting");
    const ready = async () => (await curl(`http://127.0.0.1:${port}/readyz`).done).stdout;
    assert.match(await ready(), /"not_ready","reason":"probes are being attached"/);
    attached();
    const daemon = await starting;
    t.after(daemon.stop);
    assert.match(await ready(), /"ready"/);
  });

  it("free the port and stop the stage when it cannot start", async () => {
    let stopped = 0;
    const create = () =>
      stageOf({
        start: () => Promise.reject(new Error("no probe works here")),
        stop: async () => {
          stopped += 1;
        },
      });
    const listen = [{ ...LOOPBACK, port: 30000 + (process.pid % 2000) }];
    const starting = start({ ...CONFIG, listen }, create);
    await assert.rejects(starting, { message: "no probe works here" });
    assert.equal(stopped, 1);
    await (await start({ ...CONFIG, listen })).stop();
  });

  const moreThanSocketBuffersHold = { cgroup: { path: "x".repeat(2000) } };
  const openSilentStream = async (t: TestContext): Promise<[Daemon, Socket]> => {
    const daemon = await start({ ...CONFIG, journalBytes: 1 << 30 });
    for (let i = 0; i < 40; i += 1) {
      daemon.journal.append(connectBatch(500, moreThanSocketBuffersHold));
    }
    t.after(daemon.stop);
    const client = connect({ host: "127.0.0.1", port: Number(new URL(daemon.address).port) });
    client.on("error", () => {});
    client.pause();
    client.write("GET /events?since=0 HTTP/1.0\r\nHost: localhost\r\n\r\n");
    await new Promise((resolve) => setTimeout(resolve, 300));
    return [daemon, client];
  };

  it("stop although a client with a full queue does not read", { timeout: 60_000 }, async (t) => {
    const [daemon, client] = await openSilentStream(t);
    await daemon.stop();
    await assert.rejects(fetch(`${daemon.address}/healthz`), "it serves no longer");
    client.destroy();
  });

  it("let a slow client have the queued lines, whole, before they stop", async (t) => {
    const [daemon, client] = await openSilentStream(t);
    const stopped = daemon.stop();
    await new Promise((resolve) => setTimeout(resolve, 100));
    const chunks: Buffer[] = [];
    for await (const chunk of client) {
      chunks.push(chunk as Buffer);
    }
    await stopped;
    const text = Buffer.concat(chunks).toString();
    const events = parseNdjson(text.slice(text.indexOf("\r\n\r\n") + 4));
    assert.ok(text.endsWith("}\n"));
    assert.ok(events.length > 100 && events.length < 20_000, `${events.length} events`);
    assert.equal(accountedFor(events, 1), events.length);
  });
});
