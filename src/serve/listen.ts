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
 * Binds and listens. Returns the address as a client writes it: `http://127.0.0.1:5961` or
 * `unix:/run/tuplewatch.sock`.
 * @throws ListenError
 */
export async function listen(app: FastifyInstance, address: ListenAddress): Promise<string> {
  try {
    return await bind(app, address);
  } catch (error) {
    throw new ListenError(describe(address, error), { cause: error });
  }
}

async function bind(app: FastifyInstance, address: ListenAddress): Promise<string> {
  if (address.kind === "tcp") {
    return app.listen({ host: address.host, port: address.port });
  }
  if (address.kind === "systemd") return listenOnHandedOver(app);
  await removeStaleSocket(address.path);
  await app.listen({ path: address.path });
  return formatListen(address);
}

/** The first descriptor that a service manager hands over (sd_listen_fds(3)). */
const LISTEN_FDS_START = 3;

/** Socket activation: the service manager bound the socket, and keeps it over restarts. */
async function listenOnHandedOver(app: FastifyInstance): Promise<string> {
  const { LISTEN_PID, LISTEN_FDS } = process.env;
  if (Number(LISTEN_PID) !== process.pid || Number(LISTEN_FDS) !== 1) {
    throw new Error("the service manager handed over no socket, or several (LISTEN_FDS)");
  }
  await app.ready();
  await new Promise<void>((resolve, reject) => {
    app.server.once("error", reject);
    app.server.listen({ fd: LISTEN_FDS_START }, resolve);
  });
  const address = app.server.address();
  if (address === null || typeof address === "string") return `unix:${address ?? "systemd"}`;
  const host = address.family === "IPv6" ? `[${address.address}]` : address.address;
  return `http://${host}:${address.port}`;
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
  if (address.kind === "systemd") return problem;
  const other =
    address.kind === "tcp"
      ? `--listen ${formatListen({ ...address, port: address.port + 1 })}`
      : `--listen unix:${address.path}2`;
  return `${problem}; another tuplewatch may be running there; choose another with ${other}`;
}
