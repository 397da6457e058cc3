import assert from "node:assert/strict";
import { randomBytes } from "node:crypto";
import { connect, type Socket } from "node:net";
import { describe, it, type TestContext } from "node:test";
import { gunzipSync } from "node:zlib";
import { MAX_QUEUED_BYTES } from "../../src/http/stream/stream.ts";
import { ObjectBatch } from "../../src/journal/batch.ts";
import { accountedFor, connectBatch, connectEvent, parseNdjson } from "../support/events.ts";
import { startServer, type TestServer } from "../support/server.ts";
import { until } from "../support/until.ts";

const EVENTS = 200_000;
/** Larger in bytes than the queue of one client may be. */
const BATCH = 2000;
const JOURNAL = { maxEvents: 20_000, maxBytes: 16 << 20 };

/** A client that sends its request and does not read. */
function openSilentClient(t: TestContext, port: number, path: string, gzip = false): Socket {
  const socket = connect({ port, host: "127.0.0.1" });
  t.after(() => socket.destroy());
  socket.pause();
  const encoding = gzip ? "Accept-Encoding: gzip\r\n" : "";
  socket.write(`GET ${path} HTTP/1.0\r\nHost: localhost\r\n${encoding}\r\n`);
  return socket;
}

/** No compressor makes these small. */
function noisyBatch(count: number): ObjectBatch {
  const events = Array.from({ length: count }, () =>
    connectEvent(1, { cgroup: { path: randomBytes(150).toString("base64") } }),
  );
  return new ObjectBatch("connect", events, count * 1000);
}

async function appendAll(
  server: TestServer,
  onBatch: () => void,
  makeBatch: (count: number) => ObjectBatch = connectBatch,
): Promise<void> {
  for (let appended = 0; appended < EVENTS; appended += BATCH) {
    server.journal.append(makeBatch(BATCH));
    onBatch();
    if (appended % (5 * BATCH) === 0) {
      await new Promise((resolve) => setTimeout(resolve, 25));
    }
  }
}

/** Reads to the end of the connection; the body follows the empty line (HTTP/1.0: no chunks). */
async function readBody(socket: Socket): Promise<string> {
  const chunks: Buffer[] = [];
  for await (const chunk of socket) {
    chunks.push(chunk as Buffer);
  }
  const all = Buffer.concat(chunks);
  const start = all.indexOf("\r\n\r\n") + 4;
  const body = all.subarray(start);
  const isGzip = /^content-encoding: gzip/im.test(all.toString("latin1", 0, start));
  return (isGzip ? gunzipSync(body) : body).toString();
}

/** Bytes that the server holds for its clients beyond what the kernel took. */
function queuedBytes(sockets: ReadonlySet<Socket>): number {
  return [...sockets].reduce((sum, socket) => sum + socket.writableLength, 0);
}

describe("a client that does not read", () => {
  const cases = [
    { path: "/events", gzip: false },
    { path: "/events?result=ok", gzip: false },
    { path: "/events", gzip: true },
  ];
  for (const { path, gzip } of cases) {
    const how = gzip ? "with gzip" : "plainly";
    it(`costs a bounded queue and learns exactly what it missed on ${path} ${how}`, async (t) => {
      const server = await startServer(t, JOURNAL);
      const sockets = new Set<Socket>();
      server.servers.all[0]?.on("connection", (socket) => sockets.add(socket));
      const client = openSilentClient(t, server.port, path, gzip);
      await until(() => server.hub.size === 1, "the stream is open");
      const heapBefore = process.memoryUsage();
      let mostQueued = 0;
      const watch = () => {
        mostQueued = Math.max(mostQueued, queuedBytes(sockets));
      };
      await appendAll(server, watch, gzip ? noisyBatch : connectBatch);
      const heapAfter = process.memoryUsage();
      // With gzip it waits in the compressor, and the socket may take all that comes out.
      assert.ok(gzip || mostQueued > 0, "the client was never behind");
      assert.ok(mostQueued <= MAX_QUEUED_BYTES + 4096, `${mostQueued} bytes queued`);
      const growth = heapAfter.external - heapBefore.external;
      assert.ok(growth < 64 << 20, `buffers grew by ${growth} bytes`);

      const body = readBody(client);
      await drained(client);
      await server.hub.endAll(5000);
      const events = parseNdjson(await body);
      const gaps = events.filter((event) => event.type === "gap");
      const missed = gaps.reduce((sum, gap) => sum + (gap.missed ?? 0), 0);
      assert.equal(accountedFor(events, 1), EVENTS);
      assert.equal(events.length - gaps.length + missed, EVENTS);
      assert.ok(missed > 0);
      assert.ok(gaps.every((gap) => gap.where === "slow_client"));
      assert.equal(await server.total("tuplewatch_stream_events_dropped_total"), missed);
    });
  }

  it("does not hold up the others", async (t) => {
    // Roomy: were the lively one to miss an event, its limit would never be reached.
    const server = await startServer(t);
    openSilentClient(t, server.port, "/events");
    const lively = connect({ port: server.port, host: "127.0.0.1" });
    lively.write(`GET /events?limit=${EVENTS} HTTP/1.0\r\nHost: localhost\r\n\r\n`);
    await until(() => server.hub.size === 2, "both streams are open");
    const body = readBody(lively);
    await appendAll(server, () => {});
    const events = parseNdjson(await body);
    assert.equal(events.length, EVENTS);
    assert.equal(accountedFor(events, 1), EVENTS);
  });
});

/** Nothing has come for a while: the reader has had all there is. */
async function drained(client: Socket): Promise<void> {
  let read = -1;
  while (client.bytesRead !== read) {
    read = client.bytesRead;
    await new Promise((resolve) => setTimeout(resolve, 300));
  }
}
