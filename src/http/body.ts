import { promisify } from "node:util";
import { gzip } from "node:zlib";
import type { FastifyReply } from "fastify";
import { acceptsGzip } from "./accept.ts";

export const JSON_TYPE = "application/json; charset=utf-8";

/** Smaller ones fit into a packet anyway. */
const MIN_GZIP_BYTES = 1024;

const compress = promisify(gzip);

/** Sends a whole body, compressed off the main thread if the client likes that. */
export async function sendBody(
  reply: FastifyReply,
  contentType: string,
  text: string,
): Promise<FastifyReply> {
  reply.type(contentType).header("vary", "accept-encoding");
  const wanted = acceptsGzip(reply.request.headers["accept-encoding"]);
  if (!wanted || text.length < MIN_GZIP_BYTES) return reply.send(text);
  return reply.header("content-encoding", "gzip").send(await compress(text));
}

export function sendJson(reply: FastifyReply, body: unknown): Promise<FastifyReply> {
  return sendBody(reply, JSON_TYPE, `${JSON.stringify(body)}\n`);
}
