import assert from "node:assert/strict";
import { chmodSync, mkdtempSync, rmSync } from "node:fs";
import { request } from "node:http";
import { connect } from "node:net";
import { tmpdir } from "node:os";
import { join } from "node:path";
import { describe, it, type TestContext } from "node:test";
import { Gauge } from "prom-client";
import { openListeners } from "../../src/http/listen/open.ts";
import { type Running, start } from "../support/commands.ts";
import { connectBatch } from "../support/events.ts";
import { startServer, type TestServer } from "../support/server.ts";
import { until } from "../support/until.ts";

const STREAMS = 64;
const NOBODY = ["setpriv", "--reuid=65534", "--regid=65534", "--clear-groups"];

/** A request from one address, as it goes on. */
interface Client {
  status(): number;
  text(): string;
  isClosed(): boolean;
  close(): void;
}

/** `at`: a port and a source address, or a socket's path. */
function ask(t: TestContext, at: object, path: string, headers = {}): Client {
  let [status, text, closed] = [0, "", false];
  const sent = request({ ...at, path, headers: { host: "localhost", ...headers }, agent: false });
  sent.on("response", (response) => {
    status = response.statusCode ?? 0;
    response.on("data", (chunk) => {
      text += chunk;
    });
    response.on("error", () => {});
  });
  sent.on("error", () => {});
  sent.on("close", () => {
    closed = true;
  });
  sent.end();
  t.after(() => sent.destroy());
  return {
    status: () => status,
    text: () => text,
    isClosed: () => closed,
    close: () => sent.destroy(),
  };
}

const from = (server: TestServer, localAddress: string) => ({
  host: "127.0.0.1",
  port: server.port,
  localAddress,
});

const SSE = { accept: "text/event-stream" };

/** Streams of another user, each from an address of its own. */
const STREAMS_OF_NOBODY = `
import os, socket, sys
os.setgroups([]); os.setgid(65534); os.setuid(65534)
connections = []
for index in range(int(sys.argv[2])):
    connection = socket.socket()
    connection.bind((f"127.0.1.{index + 1}", 0))
    connection.connect(("127.0.0.1", int(sys.argv[1])))
    connection.sendall(b"GET /events HTTP/1.1\\r\\nHost: localhost\\r\\n\\r\\n")
    connections.append(connection)
print("open", flush=True)
sys.stdin.read()
`;

/** Two streams that nobody reads. */
const SILENT = `
import socket, sys, time
connections = [socket.create_connection(("127.0.0.1", int(sys.argv[1]))) for _ in range(2)]
for connection in connections:
    connection.sendall(b"GET /events HTTP/1.1\\r\\nHost: localhost\\r\\n\\r\\n")
time.sleep(60)
`;

function streamsOfNobody(t: TestContext, port: number, count: number): Running {
  const args = ["-c", STREAMS_OF_NOBODY, String(port), String(count)];
  const running = start("python3", args, {}, "", { keepsInput: true });
  t.after(() => running.child.stdin?.end());
  return running;
}

async function fill(t: TestContext, server: TestServer, address: string, count: number) {
  const before = server.hub.size;
  const streams: Client[] = [];
  for (let i = 0; i < count; i++) {
    streams.push(ask(t, from(server, address), "/events", SSE));
    await until(() => server.hub.size === before + i + 1, "the stream is open");
  }
  return streams;
}

describe("event streams", () => {
  it("are given up by the client that has most, the newest first, without a loss", async (t) => {
    const server = await startServer(t);
    const greedy = await fill(t, server, "127.0.0.1", STREAMS);
    server.journal.append(connectBatch(3));
    await until(() => greedy.every((one) => one.text().includes("id: 3\n")), "events");
    const other = ask(t, from(server, "127.0.0.2"), "/events", SSE);
    await until(() => other.status() === 200, "the other's stream");
    await until(() => greedy.at(-1)?.isClosed() === true, "one has ended");
    assert.equal(greedy.filter((one) => one.isClosed()).length, 1);
    assert.match(
      greedy.at(-1)?.text() ?? "",
      /event: end\ndata: \{"type":"end","reason":"displaced"\}/,
    );
    assert.equal(server.hub.size, STREAMS);
    assert.equal(await server.total("tuplewatch_stream_displaced_total"), 1);

    // There is none for the greedy one again, until it closes one itself.
    const refused = ask(t, from(server, "127.0.0.1"), "/events");
    await until(() => refused.isClosed(), "an answer");
    assert.equal(refused.status(), 503);
    assert.match(refused.text(), /all 64 event streams are in use, 64 of them by this client/);
    assert.equal(await server.total("tuplewatch_http_refused_total"), 1);
    server.journal.append(connectBatch(2));
    greedy[0]?.close();
    await until(() => server.hub.size === STREAMS - 1, "one is free");
    const back = ask(t, from(server, "127.0.0.1"), "/events", { ...SSE, "last-event-id": "3" });
    await until(() => back.text().includes("id: 5\n"), "what it missed");
    assert.match(back.text(), /^id: 4\n/);
  });

  it("are shared half and half by two who both want all", async (t) => {
    const server = await startServer(t, undefined, { maxClients: 8 });
    const first = await fill(t, server, "127.0.0.1", 8);
    const second = Array.from({ length: 8 }, () => ask(t, from(server, "127.0.0.2"), "/events"));
    await until(() => second.every((one) => one.status() !== 0), "answers");
    await until(() => first.filter((one) => one.isClosed()).length === 4, "four have ended");
    assert.equal(second.filter((one) => one.status() === 200).length, 4);
    assert.equal(server.hub.size, 8);
  });

  it("cannot all be taken by one local user, from however many addresses", async (t) => {
    const server = await startServer(t);
    const nobody = streamsOfNobody(t, server.port, STREAMS);
    await until(() => server.hub.size === STREAMS && nobody.stdout() !== "", "all are taken");
    for (let i = 1; i <= 3; i++) {
      const mine = ask(t, from(server, "127.0.0.1"), "/events");
      await until(() => mine.status() !== 0, "an answer");
      assert.equal(mine.status(), 200);
      assert.equal(await server.total("tuplewatch_stream_displaced_total"), i);
    }
  });

  it("are counted by user on a unix socket", async (t) => {
    const folder = mkdtempSync(join(tmpdir(), "tuplewatch-fair-"));
    chmodSync(folder, 0o755);
    t.after(() => rmSync(folder, { recursive: true }));
    const path = join(folder, "s");
    const server = await startServer(t, undefined, { maxClients: 2 });
    for (const listener of await openListeners([{ kind: "unix", path, scope: "all" }])) {
      await server.serve(listener);
    }
    chmodSync(path, 0o666);
    const own = [1, 2].map(() => ask(t, { socketPath: path }, "/events"));
    await until(() => server.hub.size === 2, "all are taken");
    const third = ask(t, { socketPath: path }, "/events");
    await until(() => third.isClosed(), "an answer");
    assert.equal(third.status(), 503);
    const curl = ["curl", "-sN", "--max-time", "30", "--unix-socket", path, "http://x/events"];
    const [command = "", ...args] = [...NOBODY, ...curl];
    const other = start(command, args);
    t.after(() => other.child.kill());
    await until(() => own.some((one) => one.isClosed()), "one has given way");
    assert.equal(server.hub.size, 2);
  });

  it("that are not read give way as well, and their connections do not stay", async (t) => {
    const server = await startServer(t, undefined, { maxClients: 2 });
    const silent = start("python3", ["-c", SILENT, String(server.port)]);
    t.after(() => silent.child.kill());
    await until(() => server.hub.size === 2, "both are taken");
    const moreThanSocketBuffersHold = { cgroup: { path: "x".repeat(2000) } };
    for (let i = 0; i < 20; i++)
      server.journal.append(connectBatch(500, moreThanSocketBuffersHold));
    let sent = -1;
    await until(async () => {
      const before = sent;
      sent = await server.total("tuplewatch_stream_events_sent_total");
      return sent > 0 && sent === before;
    }, "no more can be sent");
    assert.ok(sent < 2 * 10_000, "the streams are stuck");
    const other = ask(t, from(server, "127.0.0.2"), "/events");
    await until(() => other.status() === 200, "the other's stream");
    assert.equal(await server.total("tuplewatch_http_connections"), 3);
    await until(
      async () => (await server.total("tuplewatch_http_connections")) === 2,
      "the silent one is cut",
    );
  });
});

describe("connections", () => {
  it("in use are given up by the client that has most of them", async (t) => {
    const server = await startServer(t, undefined, { maxConnections: 10 });
    const greedy = await fill(t, server, "127.0.0.1", 10);
    const other = ask(t, from(server, "127.0.0.2"), "/healthz");
    await until(() => other.isClosed(), "an answer");
    assert.equal(other.status(), 200);
    assert.equal(greedy.filter((one) => one.isClosed()).length, 1);
    const cut = await server.registry
      .getSingleMetric("tuplewatch_http_connections_cut_total")
      ?.get();
    assert.deepEqual(
      cut?.values.map(({ labels, value }) => [labels.reason, value]),
      [
        ["descriptors", 0],
        ["no_request", 0],
        ["too_many", 1],
      ],
    );
  });

  it("that wait are not cut for one who holds more", async (t) => {
    const server = await startServer(t, undefined, { maxConnections: 10 });
    const open = (localAddress: string) => {
      const socket = connect(from(server, localAddress));
      socket.on("error", () => {});
      socket.resume();
      t.after(() => socket.destroy());
      return socket;
    };
    const quiet = open("127.0.0.2");
    await until(() => !quiet.connecting, "connected");
    const flood = Array.from({ length: 40 }, () => open("127.0.0.1"));
    await until(() => flood.filter((socket) => socket.closed).length === 31, "the flood is cut");
    assert.equal(quiet.closed, false);
  });
});

describe("scrapes", () => {
  it("of one address take half of the places at most", async (t) => {
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
    const scrape = (address: string) => ask(t, from(server, address), "/metrics");
    const first = [1, 2, 3, 4].map(() => scrape("127.0.0.1"));
    await until(() => making === 4, "four are being made");
    const fifth = scrape("127.0.0.1");
    await until(() => fifth.isClosed(), "an answer");
    assert.equal(fifth.status(), 503);
    assert.match(fifth.text(), /is being made for this client, as often as one client may have it/);
    const other = scrape("127.0.0.2");
    await until(() => making === 5, "another's is being made");
    finish();
    await until(() => [...first, other].every((one) => one.status() === 200), "answers");
    assert.equal(await server.total("tuplewatch_http_refused_total"), 1);
  });
});
