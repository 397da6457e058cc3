import type { FastifyInstance, FastifyRequest } from "fastify";
import { HttpError } from "./errors.ts";

const MAX_URL_CHARACTERS = 4096;

/** Browsers send some 20. */
const MAX_HEADERS = 100;

/** What holds for every request: its size, its method, and that it has no body. */
export function addRequestChecks(app: FastifyInstance): void {
  // Not app.hasRoute(): it takes a path for a pattern, and throws at one that is a bad pattern.
  const paths = new Set<string>();
  app.addHook("onRoute", ({ url }) => void paths.add(url));
  app.addHook("onRequest", async (request) => {
    checkSize(request);
    if (request.method !== "GET" && request.method !== "HEAD") {
      throw paths.has(pathOf(request)) ? methodNotAllowed(request) : notFound(request);
    }
    checkBody(request);
  });
  app.setNotFoundHandler((request) => {
    throw notFound(request);
  });
}

function checkSize({ url, raw }: FastifyRequest): void {
  if (url.length > MAX_URL_CHARACTERS) {
    const message = `the URL has ${url.length} characters`;
    throw new HttpError(414, "uri_too_long", message, { limit: MAX_URL_CHARACTERS });
  }
  const headers = raw.rawHeaders.length / 2;
  if (headers > MAX_HEADERS) {
    const message = `the request has ${headers} headers`;
    throw new HttpError(431, "headers_too_many", message, { limit: MAX_HEADERS });
  }
}

/** The connection ends with the answer, or Node would read the body to its end. */
function checkBody({ headers }: FastifyRequest): void {
  const length = headers["content-length"];
  if (headers["transfer-encoding"] === undefined && (length ?? "0") === "0") return;
  const close = { connection: "close" };
  throw new HttpError(413, "body_not_allowed", "requests have no body here", {}, close);
}

function pathOf(request: FastifyRequest): string {
  return request.url.split("?", 1)[0] ?? "";
}

function notFound(request: FastifyRequest): HttpError {
  return new HttpError(404, "not_found", `no such path: ${pathOf(request).slice(0, 80)}`);
}

function methodNotAllowed(request: FastifyRequest): HttpError {
  const allow = "GET, HEAD";
  const message = `${request.method} is not allowed here, only ${allow}`;
  return new HttpError(405, "method_not_allowed", message, {}, { allow });
}
