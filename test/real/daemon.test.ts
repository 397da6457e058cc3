import assert from "node:assert/strict";
import { connect, type Socket } from "node:net";
import { describe, it, type TestContext } from "node:test";
import { pino } from "pino";
import { Gauge } from "prom-client";
import { defaultConfig } from "../../src/config/load.ts";
import {
  type Daemon,
  type KernelStage,
  type KernelStageFactory,
  startDaemon,
} from "../../src/daemon.ts";
import type { Journal } from "../../src/pipeline/journal.ts";
import { curl } from "../support/commands.ts";
import { accountedFor, connectBatch, parseNdjson } from "../support/events.ts";
import { accessOf, KERNEL_STATUS, until } from "../support/server.ts";

const LOGGER = pino({ level: "silent" });
const CONFIG = { ...defaultConfig(), listen: { kind: "tcp", host: "127.0.0.1", port: 0 } } as const;

/** Appends what the test gives it. */
function stageOf(parts: Partial<KernelStage>): KernelStage {
  return {
    start: async () => {},
    status: async () => KERNEL_STATUS,
    ready: () => ({ ok: true }),
    summary: () => "a test",
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
    const daemon = await startDaemon(CONFIG, LOGGER, accessOf(), create);
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
    const listen = { kind: "tcp", host: "127.0.0.1", port } as const;
    const starting = startDaemon({ ...CONFIG, listen }, LOGGER, accessOf(), create);
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
    const listen = { kind: "tcp", host: "127.0.0.1", port: 30000 + (process.pid % 2000) } as const;
    const starting = startDaemon({ ...CONFIG, listen }, LOGGER, accessOf(), create);
    await assert.rejects(starting, { message: "no probe works here" });
    assert.equal(stopped, 1);
    await (await startDaemon({ ...CONFIG, listen }, LOGGER, accessOf())).stop();
  });

  const moreThanSocketBuffersHold = { cgroup: { path: "x".repeat(2000) } };
  const openSilentStream = async (t: TestContext): Promise<[Daemon, Socket]> => {
    const daemon = await startDaemon({ ...CONFIG, journalBytes: 1 << 30 }, LOGGER, accessOf());
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

  it("stop within seconds although a client with a full queue does not read", async (t) => {
    const [daemon, client] = await openSilentStream(t);
    const startedAt = Date.now();
    await daemon.stop();
    const tookMs = Date.now() - startedAt;
    assert.ok(tookMs >= 1500 && tookMs < 4000, `${tookMs} ms`);
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
