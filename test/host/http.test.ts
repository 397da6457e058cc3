import assert from "node:assert/strict";
import { before, describe, it } from "node:test";
import { gapBatch } from "../../src/journal/batch.ts";
import { curl, start } from "../support/commands.ts";
import { accountedFor, connectBatch, parseNdjson } from "../support/events.ts";
import { STATUS, startServer, suiteScope, type TestServer } from "../support/server.ts";
import { until } from "../support/until.ts";

describe("/events over curl", () => {
  const scope = suiteScope();
  let server: TestServer;
  before(async () => {
    server = await startServer(scope);
    server.journal.append(connectBatch(3));
    server.journal.append(gapBatch({ where: "kernel_ring", probe: "connect", missed: 7 }));
    server.journal.append(connectBatch(2, { result: "EADDRNOTAVAIL" }));
  });

  const replay = async (query: string, ...args: string[]) => {
    const { code, stdout } = await curl(...args, `${server.url}/events?follow=false${query}`).done;
    assert.equal(code, 0);
    return stdout;
  };
  const seqs = async (query: string) => parseNdjson(await replay(query)).map((event) => event.seq);

  it("replays all that the journal holds, losses in their place", async () => {
    assert.deepEqual(await seqs(""), [1, 2, 3, undefined, 4, 5]);
  });

  it("replays after a seq, from the query or from Last-Event-ID", async () => {
    assert.deepEqual(await seqs("&since=4"), [5]);
    assert.deepEqual(await seqs("&since=5"), []);
    const text = await replay("&since=1", "--header", "Last-Event-ID: 4");
    assert.deepEqual(
      parseNdjson(text).map((event) => event.seq),
      [5],
    );
  });

  it("filters and limits; notices always come", async () => {
    assert.deepEqual(await seqs("&result=EADDRNOTAVAIL"), [undefined, 4, 5]);
    assert.deepEqual(await seqs("&result=EADDRNOTAVAIL&limit=1"), [undefined, 4]);
    assert.deepEqual(await seqs("&port=1&port=3&since=0"), [1, 3, undefined, 4]);
    assert.deepEqual(await seqs("&limit=2"), [1, 2]);
  });

  it("speaks NDJSON by default and SSE on request", async () => {
    const ndjson = await replay("&limit=1", "--include");
    assert.match(ndjson, /^content-type: application\/x-ndjson/im);
    const sse = await replay("&since=2", "--include", "--header", "Accept: text/event-stream");
    assert.match(sse, /^content-type: text\/event-stream/im);
    const body = sse.slice(sse.indexOf("\r\n\r\n") + 4);
    const blocks = body.trimEnd().split("\n\n");
    const kinds = blocks.map((block) => block.replace(/^data: .*$/m, "").trim());
    assert.deepEqual(kinds, [
      "id: 3\nevent: connect",
      "event: gap",
      "id: 4\nevent: connect",
      "id: 5\nevent: connect",
      "event: end",
    ]);
    assert.equal(JSON.parse(/^data: (.*)$/m.exec(blocks[0] ?? "")?.[1] ?? "").seq, 3);
  });
});

describe("gzip", () => {
  it("is for those who ask, each event at once", async (t) => {
    const server = await startServer(t);
    const reader = curl("--include", "--compressed", `${server.url}/events?limit=4`);
    await until(() => server.hub.size === 1, "the stream is open");
    for (let port = 1; port <= 3; port++) {
      server.journal.append(connectBatch(1));
      const lines = () => reader.stdout().match(/^\{.*\}$/gm) ?? [];
      await until(() => lines().length === port, `${port} events arrived`);
    }
    server.journal.append(connectBatch(1));
    const { stdout, code } = await reader.done;
    assert.equal(code, 0);
    assert.match(stdout, /^content-encoding: gzip/im);
    assert.match(stdout, /^vary: accept, accept-encoding/im);
    const events = parseNdjson(stdout.slice(stdout.indexOf("\r\n\r\n") + 4));
    assert.deepEqual(
      events.map((event) => event.seq),
      [1, 2, 3, 4],
    );
  });

  it("is not for those who do not, or rule it out", async (t) => {
    const { url } = await startServer(t);
    for (const header of ["Accept-Encoding:", "Accept-Encoding: gzip;q=0, br"]) {
      for (const path of ["/events?follow=false", "/metrics"]) {
        const { stdout } = await curl("--include", "--header", header, `${url}${path}`).done;
        assert.doesNotMatch(stdout, /^content-encoding/im);
      }
    }
  });

  it("gives the same metrics", async (t) => {
    const { url } = await startServer(t);
    const plain = await curl(`${url}/metrics`).done;
    const packed = await curl("--compressed", "--include", `${url}/metrics`).done;
    assert.match(packed.stdout, /^content-encoding: gzip/im);
    const names = (text: string) => text.match(/^# HELP .*/gm);
    assert.deepEqual(names(packed.stdout), names(plain.stdout));
  });
});

describe("following streams", () => {
  it("start at now, wake within 20 ms or so and end when the client has enough", async (t) => {
    const server = await startServer(t);
    server.journal.append(connectBatch(10));
    const reader = curl(`${server.url}/events?limit=3`);
    await until(() => server.hub.size === 1, "the stream is open");
    server.journal.append(connectBatch(2));
    await until(() => reader.stdout().split("\n").length === 3, "two events arrived");
    server.journal.append(connectBatch(2));
    const { stdout } = await reader.done;
    assert.deepEqual(
      parseNdjson(stdout).map((event) => event.seq),
      [11, 12, 13],
    );
    await until(() => server.hub.size === 0, "the stream is closed");
  });

  it("get heartbeats while idle", async (t) => {
    const server = await startServer(t, undefined, { heartbeatMs: 50 });
    const ndjson = curl(`${server.url}/events`);
    const sse = curl("--header", "Accept: text/event-stream", `${server.url}/events`);
    await until(() => ndjson.stdout().length >= 3 && sse.stdout().length > 30, "heartbeats");
    assert.match(ndjson.stdout(), /^\n+$/);
    assert.match(sse.stdout(), /^(: heartbeat\n\n)+$/);
  });

  it("are freed when the client goes away", async (t) => {
    const server = await startServer(t);
    const reader = curl(`${server.url}/events`);
    await until(() => server.hub.size === 1, "the stream is open");
    reader.child.kill("SIGKILL");
    await until(() => server.hub.size === 0, "the stream is closed");
    assert.equal(await server.total("tuplewatch_stream_clients"), 0);
  });

  it("are refused beyond the limit, and welcome again after", async (t) => {
    const server = await startServer(t, undefined, { maxClients: 2 });
    const first = curl(`${server.url}/events`);
    curl(`${server.url}/events`);
    await until(() => server.hub.size === 2, "two streams");
    const { stdout } = await curl("--include", `${server.url}/events`).done;
    assert.match(stdout, /^HTTP\/1.1 503 /);
    assert.match(stdout, /^retry-after: 5\r$/im);
    assert.match(stdout, /"code":"too_many_clients"/);
    first.child.kill("SIGKILL");
    await until(() => server.hub.size === 1, "one stream");
    assert.equal((await curl(`${server.url}/events?follow=false`).done).code, 0);
  });

  it("share decoding and JSON among many readers, and each gets everything", async (t) => {
    const server = await startServer(t);
    const plain = Array.from({ length: 8 }, () => curl(`${server.url}/events?limit=20000`));
    const filtered = Array.from({ length: 4 }, () =>
      curl(`${server.url}/events?limit=10000&result=EADDRINUSE`),
    );
    await until(() => server.hub.size === 12, "all streams are open");
    for (let i = 0; i < 100; i += 1) {
      server.journal.append(connectBatch(100));
      server.journal.append(connectBatch(100, { result: "EADDRINUSE" }));
      if (i % 10 === 0) {
        await new Promise((resolve) => setTimeout(resolve, 5));
      }
    }
    for (const reader of plain) {
      assert.equal(accountedFor(parseNdjson((await reader.done).stdout), 1), 20000);
    }
    for (const reader of filtered) {
      const events = parseNdjson((await reader.done).stdout);
      assert.equal(events.length, 10000);
      assert.ok(events.every((event) => event.result === "EADDRINUSE"));
    }
    assert.equal(server.journal.stats().encodedEvents, 20000);
    const sent = await server.total("tuplewatch_stream_events_sent_total");
    assert.equal(sent, 8 * 20000 + 4 * 10000);
  });
});

describe("other paths over curl", () => {
  const scope = suiteScope();
  let server: TestServer;
  let ready = true;
  before(async () => {
    const state = () => (ready ? { ok: true } : { ok: false, reason: "no probe attached" });
    server = await startServer(scope, undefined, { ready: state });
  });

  const answer = async (path: string, ...args: string[]) => {
    const { stdout } = await curl(...args, "--include", `${server.url}${path}`).done;
    const [head = "", body = ""] = stdout.split("\r\n\r\n");
    return { status: Number(head.split(" ")[1]), head, body };
  };
  const errorOf = (body: string) => (JSON.parse(body) as { error: { code: string } }).error.code;

  it("answer liveness, readiness and status", async () => {
    assert.equal((await answer("/healthz")).body, '{"status":"ok"}\n');
    assert.deepEqual(JSON.parse((await answer("/status")).body), STATUS);
    assert.equal((await answer("/readyz")).status, 200);
    ready = false;
    const { status, body } = await answer("/readyz");
    assert.equal(status, 503);
    assert.deepEqual(JSON.parse(body), { status: "not_ready", reason: "no probe attached" });
  });

  const wrong: [string, string[], number, string][] = [
    ["/nope", [], 404, "not_found"],
    ["/", ["--request", "DELETE"], 405, "method_not_allowed"],
    ["/events", ["--data", "{"], 405, "method_not_allowed"],
    ["/metrics", ["--request", "PROPFIND"], 405, "method_not_allowed"],
    ["/*/", ["--request", "POST"], 404, "not_found"],
    ["/events?tpye=connect", [], 400, "unknown_query_key"],
    ["/events?pid=x", [], 400, "invalid_value"],
    ["/%zz", [], 400, "bad_request"],
    [`/events?type=${"a".repeat(5000)}`, [], 414, "uri_too_long"],
    ["/status", ["--header", `X: ${"a".repeat(20000)}`], 431, "headers_too_large"],
  ];
  for (const [path, args, status, code] of wrong) {
    it(`answer ${status} ${code} to ${path.slice(0, 30)} ${args[0] ?? ""}`, async () => {
      const response = await answer(path, ...args);
      assert.equal(response.status, status);
      assert.equal(errorOf(response.body), code);
      assert.match(response.head, /^content-type: application\/json/im);
      if (status === 405) {
        assert.match(response.head, /^allow: GET, HEAD\r?$/im);
      }
    });
  }

  it("answer HEAD without a body and without a stream", async () => {
    const { stdout } = await curl("--head", `${server.url}/events`).done;
    assert.match(stdout, /^HTTP\/1.1 200 /);
    assert.match(stdout, /^content-type: application\/x-ndjson/im);
    assert.equal(server.hub.size, 0);
  });

  it("give metrics that promtool finds no fault with", async () => {
    const { stdout } = await curl(`${server.url}/metrics`).done;
    const lint = await start("promtool", ["check", "metrics"], {}, stdout).done;
    assert.equal(lint.code, 0, lint.stdout + lint.stderr);
    assert.equal(lint.stderr, "");
    assert.match(stdout, /^tuplewatch_build_info\{version="0\.0\.0",node_version="v\d+/m);
    assert.match(stdout, /^tuplewatch_http_requests_total\{route="other",code="404"\} [1-9]/m);
    assert.match(stdout, /^tuplewatch_stream_events_dropped_total\{reason="slow_client"\} 0$/m);
  });
});
