import assert from "node:assert/strict";
import { connect, type Socket } from "node:net";
import { describe, it, type TestContext } from "node:test";
import { Gauge } from "prom-client";
import { curl, start } from "../support/commands.ts";
import { accountedFor, connectBatch, parseNdjson } from "../support/events.ts";
import { startServer } from "../support/server.ts";
import { until } from "../support/until.ts";

const HALF_OPEN = 1000;
const SLOW = 500;

interface Client {
  readonly socket: Socket;
  received: string;
}

/** Connections that have sent `text` so far, all of them open. */
async function openClients(t: TestContext, port: number, count: number, text: string) {
  const clients = Array.from({ length: count }, (): Client => {
    const client = { socket: connect({ port, host: "127.0.0.1" }), received: "" };
    client.socket.on("error", () => {});
    client.socket.on("data", (chunk) => {
      client.received += chunk;
    });
    client.socket.write(text);
    t.after(() => client.socket.destroy());
    return client;
  });
  await until(() => clients.every(({ socket }) => !socket.connecting), "connected");
  return clients;
}

const isClosed = ({ socket }: Client) => socket.closed;

async function get(url: string, ...args: string[]) {
  const { stdout } = await curl("--include", ...args, url).done;
  return { status: Number(stdout.split(" ")[1]), text: stdout };
}

async function getAsNobody(url: string) {
  const user = ["--reuid=65534", "--regid=65534", "--clear-groups"];
  const { stdout } = await start("setpriv", [...user, "curl", "--silent", "--include", url]).done;
  return { status: Number(stdout.split(" ")[1]), text: stdout };
}

describe("clients that connect and ask nothing", () => {
  const start = "GET /metrics HTTP/1.1\r\nHost: localhost\r\n";

  it("keep neither scrapes nor streams from their answers", async (t) => {
    const server = await startServer(t);
    const stream = curl(`${server.url}/events?limit=1000`);
    await until(() => server.hub.size === 1, "the stream is open");
    await openClients(t, server.port, HALF_OPEN, "");
    const slow = await openClients(t, server.port, SLOW, start);
    const timer = setInterval(() => {
      for (const { socket } of slow) socket.write("X-Slow: 1\r\n");
    }, 200);
    t.after(() => clearInterval(timer));
    for (let i = 0; i < 50; i++) {
      server.journal.append(connectBatch(20));
      assert.equal((await get(`${server.url}/metrics`)).status, 200);
    }
    assert.equal(accountedFor(parseNdjson((await stream.done).stdout), 1), 1000);
  });

  it("are told and cut when their time is over; streams are not", async (t) => {
    const server = await startServer(t, undefined, { headersMs: 300 });
    const stream = curl(`${server.url}/events?limit=1`);
    await until(() => server.hub.size === 1, "the stream is open");
    const silent = await openClients(t, server.port, 20, "");
    const slow = await openClients(t, server.port, 20, start);
    await until(() => [...silent, ...slow].every(isClosed), "all are cut");
    for (const { received } of slow) {
      assert.match(received, /^HTTP\/1.1 408 /);
      assert.match(received, /"code":"request_timeout"/);
    }
    server.journal.append(connectBatch(1));
    assert.equal(parseNdjson((await stream.done).stdout).length, 1);
  });

  it("make room for others, the oldest first", async (t) => {
    const server = await startServer(t, undefined, { maxConnections: 50 });
    const stream = curl(`${server.url}/events?limit=1`);
    await until(() => server.hub.size === 1, "the stream is open");
    const first = await openClients(t, server.port, 49, "");
    const second = await openClients(t, server.port, 30, start);
    await until(() => first.filter(isClosed).length === 30, "the first are cut");
    assert.deepEqual(first.map(isClosed), [...Array(30).fill(true), ...Array(19).fill(false)]);
    assert.equal(second.filter(isClosed).length, 0);
    assert.equal((await get(`${server.url}/healthz`)).status, 200);
    assert.equal(await server.total("tuplewatch_http_connections_cut_total"), 31);
    server.journal.append(connectBatch(1));
    assert.equal(parseNdjson((await stream.done).stdout).length, 1);
  });

  it("are turned away where every other connection is in use", async (t) => {
    const server = await startServer(t, undefined, { maxConnections: 3 });
    const streams = [1, 2, 3].map(() => curl(`${server.url}/events?limit=1`));
    await until(() => server.hub.size === 3, "the streams are open");
    assert.equal((await curl(`${server.url}/healthz`).done).stdout, "");
    server.journal.append(connectBatch(1));
    for (const { done } of streams) assert.equal(parseNdjson((await done).stdout).length, 1);
    assert.equal((await get(`${server.url}/healthz`)).status, 200);
  });
});

describe("requests that ask too much", () => {
  it("get an answer that says so", async (t) => {
    const { url } = await startServer(t);
    const headers = Array.from({ length: 101 }, (_, i) => ["--header", `X-${i}: 1`]).flat();
    const many = await get(`${url}/metrics`, ...headers);
    assert.equal(many.status, 431);
    assert.match(many.text, /"code":"headers_too_many"/);
    for (const args of [["--header", "Transfer-Encoding: chunked"], []]) {
      const body = await get(`${url}/metrics`, "--request", "GET", "--data", "x", ...args);
      assert.equal(body.status, 413);
      assert.match(body.text, /^connection: close\r$/im);
    }
    assert.equal((await get(`${url}/metrics`, ...headers.slice(0, 100))).status, 200);
  });

  it("are refused while eight others have the text of metrics made", async (t) => {
    const server = await startServer(t);
    let finish = () => {};
    const finished = new Promise<void>((resolve) => {
      finish = resolve;
    });
    let making = 0;
    new Gauge({
      name: "tuplewatch_slow",
      help: "test",
      registers: [server.registry],
      async collect() {
        making += 1;
        await finished;
      },
    });
    // One address may have four of them, and one local user all but one.
    const eight = [
      ...[1, 2, 3, 4].map(() => get(`${server.url}/metrics`)),
      ...[1, 2, 3].map(() => get(`${server.url}/metrics`, "--interface", "127.0.0.2")),
      getAsNobody(`${server.url}/metrics`),
    ];
    await until(() => making === 8, "eight are being made");
    const ninth = await get(`${server.url}/metrics`, "--interface", "127.0.0.3");
    assert.equal(ninth.status, 503);
    assert.match(ninth.text, /^retry-after: 1\r$/im);
    finish();
    for (const { status } of await Promise.all(eight)) assert.equal(status, 200);
    assert.equal((await get(`${server.url}/metrics`)).status, 200);
  });
});
