import assert from "node:assert/strict";
import { connect } from "node:net";
import fc from "fast-check";
import { pino } from "pino";
import { Registry } from "prom-client";
import { createServer } from "../../src/http/server.ts";
import { Journal } from "../../src/journal/journal.ts";
import { NO_LEDGER } from "../../src/ports/ledger.ts";
import { portReport } from "../../src/ports/report.ts";
import { checkAnswer } from "../support/schema.ts";
import { accessOf, ROOMY, STATUS, serveOnLoopback } from "../support/server.ts";
import { type FuzzTarget, textOf } from "./target.ts";

const PIECES = [
  ...["/", "//", "/..", "/.", "findings", "healthz", "readyz", "status", "metrics"],
  ...["?", "&", "=", "%", "%2f", "%00", "%zz", "%c0%ae", "#", ";", "+", " ", "kind=", "state="],
  ...["active", "__proto__", "http://host", "x".repeat(5000), "*", ":", "@", "\\"],
];

/** /events and /ports only with a query that is wrong: streams do not end, and ports are work. */
const url = fc.oneof(
  textOf(PIECES, 8).map((text) => `/${text}`),
  fc.tuple(fc.constantFrom("/events", "/ports"), textOf(PIECES, 6)).map(([path, text]) => {
    return `${path}?limit=0&${text}`;
  }),
);

const METHODS = ["GET", "GET", "GET", "HEAD", "POST", "PUT", "DELETE", "OPTIONS", "BREW", "get"];

const HEADERS = [
  ...["host:", "accept: text/event-stream;q=x", "accept-encoding: gzip", "expect: x"],
  ...["last-event-id: 18446744073709551616", "content-length: 5", "content-length: -1"],
  ...["transfer-encoding: chunked", "connection: upgrade", "upgrade: websocket", "x", ": x"],
  ...[`x: ${"y".repeat(20_000)}`, "\u0000: \u0000", "range: bytes=0-1", "if-none-match: *"],
];

const request = fc
  .tuple(
    fc.constantFrom(...METHODS),
    url,
    fc.constantFrom("HTTP/1.1", "HTTP/1.1", "HTTP/1.1", "HTTP/1.0", "HTTP/2.0", ""),
    fc.constantFrom(
      "host: localhost",
      "host: localhost",
      "host: localhost:5961",
      "host: x",
      "y: z",
    ),
    fc.array(fc.constantFrom(...HEADERS), { maxLength: 4 }),
    textOf(["hello", "0\r\n\r\n", "GET / HTTP/1.1\r\n\r\n"], 2),
  )
  .map(([method, where, version, host, headers, body]) => {
    const head = [`${method} ${where} ${version}`, "connection: close", host, ...headers];
    return `${head.join("\r\n")}\r\n\r\n${body}`;
  });

const LIMIT_MS = 10_000;

/** Whatever is sent, the answer is no failure of the daemon's, and errors are as documented. */
export const http: FuzzTarget = {
  name: "http",
  weight: 1,
  create: () => {
    const server = createServer({
      journal: new Journal(ROOMY),
      registry: new Registry(),
      logger: pino({ level: "silent" }),
      maxClients: 1,
      access: accessOf(),
      portReport: (query) => portReport(query, NO_LEDGER),
      ready: () => ({ ok: true }),
      status: async () => STATUS,
    });
    const listening = serveOnLoopback(server).then((port) => {
      for (const one of server.servers.all) one.unref();
      return port;
    });
    return fc.asyncProperty(request, async (text) => {
      checkAnswers(await exchange(await listening, text), text);
    });
  },
};

/** All that the server says until it hangs up. */
function exchange(port: number, text: string): Promise<string> {
  return new Promise((resolve, reject) => {
    const socket = connect({ host: "127.0.0.1", port });
    let said = "";
    socket.setTimeout(LIMIT_MS, () => socket.destroy(new Error("neither an answer nor an end")));
    socket.on("data", (chunk) => {
      said += chunk.toString("latin1");
    });
    // It may hang up before it has read all of a request that it refuses.
    socket.on("error", (error: NodeJS.ErrnoException) => {
      if (error.code !== "ECONNRESET" && error.code !== "EPIPE") reject(error);
    });
    socket.on("close", () => resolve(said));
    socket.end(text);
  });
}

function checkAnswers(said: string, text: string): void {
  const [, status = ""] = /^HTTP\/1\.1 (\d{3}) /.exec(said) ?? [];
  assert.ok(said === "" || (status >= "100" && status < "500"), said.slice(0, 500));
  if (status < "400" || text.startsWith("HEAD")) return;
  const body = said.slice(said.indexOf("\r\n\r\n") + 4).split("\n", 1)[0] ?? "";
  // The answer of node:http to an Expect header that it does not know has no body.
  if (body !== "" && status !== "417")
    checkAnswer("error", JSON.parse(Buffer.from(body, "latin1").toString()));
}
