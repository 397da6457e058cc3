import { unlinkSync } from "node:fs";
import { connect } from "node:net";
import type { FastifyInstance } from "fastify";
import { formatListen, type ListenAddress } from "../config/values.ts";
import { errnoOf, reasonOf } from "../errno.ts";

/** The daemon cannot serve on the address it was told to. */
export class ListenError extends Error {
  override readonly name = "ListenError";
}

/**
 * Binds and listens. Returns the address as a client writes it: `http://127.0.0.1:5961`,
 * `https://...` where `secure`, or `unix:/run/tuplewatch.sock`.
 * @throws ListenError
 */
export async function listen(
  app: FastifyInstance,
  address: ListenAddress,
  secure = false,
): Promise<string> {
  try {
    const url = await bind(app, address);
    return secure ? url.replace(/^http:/, "https:") : url;
  } catch (error) {
    throw new ListenError(describe(address, error), { cause: error });
  }
}

async function bind(app: FastifyInstance, address: ListenAddress): Promise<string> {
  if (address.fd !== undefined) return listenOnOpen(app, address, address.fd);
  if (address.kind === "tcp") {
    return app.listen({ host: address.host, port: address.port });
  }
  await removeStaleSocket(address.path);
  await app.listen({ path: address.path });
  return formatListen(address);
}

async function listenOnOpen(
  app: FastifyInstance,
  address: ListenAddress,
  fd: number,
): Promise<string> {
  await app.ready();
  await new Promise<void>((resolve, reject) => {
    app.server.once("error", reject);
    app.server.listen({ fd }, resolve);
  });
  return address.kind === "tcp" ? `http://${formatListen(address)}` : formatListen(address);
}

/** A daemon that was killed leaves its socket file; nobody answers on it (ECONNREFUSED). */
async function removeStaleSocket(path: string): Promise<void> {
  const refusal = await new Promise<string | undefined>((resolve) => {
    const socket = connect(path, () => {
      socket.destroy();
      resolve(undefined);
    });
    socket.on("error", (error) => resolve(errnoOf(error)));
  });
  if (refusal === "ECONNREFUSED") {
    unlinkSync(path);
  }
}

function describe(address: ListenAddress, error: unknown): string {
  const where = formatListen(address);
  const problem = `cannot listen on ${where}: ${reasonOf(error)}`;
  if (errnoOf(error) !== "EADDRINUSE") {
    return problem;
  }
  const other =
    address.kind === "tcp"
      ? `--listen ${formatListen({ ...address, port: address.port + 1 })}`
      : `--listen unix:${address.path}2`;
  return `${problem}; another tuplewatch may be running there; choose another with ${other}`;
}
