import { BpfError, closeFd, listenOn, socketName } from "libbpf-ts";
import { formatListen, type ListenAddress, type Listener } from "../../config/listen-setting.ts";
import { errnoOf, reasonOf, reasonOfErrno } from "../../util/errno.ts";
import { parseSocketName } from "./socket-name.ts";
import { PathTakenError } from "./stale-socket.ts";
import { bindHost } from "./tcp-socket.ts";
import { bindPath } from "./unix-socket.ts";

/** As systemd does it: net.core.somaxconn bounds it anyway. */
const BACKLOG = 512;

/** The daemon cannot serve on the address it was told to. */
export class ListenError extends Error {
  override readonly name = "ListenError";
}

/** A socket on which connections wait already, for whoever serves on it. */
export interface OpenListener {
  /** As it was asked for. */
  readonly wanted: Listener;
  /** What it is bound to: an address for a name, a port for port 0. */
  readonly address: ListenAddress;
  readonly fd: number;
  /** For the end, before the descriptor is closed: takes its file away. */
  removeFile(): void;
}

/** All of them, or none. @throws ListenError */
export async function openListeners(wanted: readonly Listener[]): Promise<OpenListener[]> {
  const opened: OpenListener[] = [];
  try {
    for (const listener of wanted) opened.push(...(await openListener(listener)));
    return opened;
  } catch (error) {
    for (const { fd, removeFile } of opened) {
      removeFile();
      closeFd(fd);
    }
    throw error;
  }
}

/** Binds and listens; serves nothing. @throws ListenError */
async function openListener(wanted: Listener): Promise<OpenListener[]> {
  try {
    return await open(wanted);
  } catch (error) {
    throw new ListenError(describe(wanted, error), { cause: error });
  }
}

async function open(wanted: Listener): Promise<OpenListener[]> {
  if (wanted.fd !== undefined) {
    return [{ wanted, address: wanted, fd: wanted.fd, removeFile: () => {} }];
  }
  if (wanted.kind === "unix") {
    const { fd, removeFile } = bindPath(wanted.path);
    return [start({ wanted, address: wanted, fd, removeFile })];
  }
  const fds = await bindHost(wanted.host, wanted.port);
  return fds.map((fd) => {
    const listener = { wanted, address: wanted, fd, removeFile: () => {} };
    return { ...start(listener), address: parseSocketName(socketName(fd)) };
  });
}

function start(listener: OpenListener): OpenListener {
  try {
    listenOn(listener.fd, BACKLOG);
    return listener;
  } catch (error) {
    listener.removeFile();
    closeFd(listener.fd);
    throw error;
  }
}

function describe(address: ListenAddress, error: unknown): string {
  const where = formatListen(address);
  // It names descriptors, which tell nobody anything.
  const reason = error instanceof BpfError ? reasonOfErrno(error.code) : reasonOf(error);
  const problem = `cannot listen on ${where}: ${reason}`;
  const isLive = error instanceof PathTakenError && error.isLive;
  if (!isLive && errnoOf(error) !== "EADDRINUSE") return problem;
  const other =
    address.kind === "tcp"
      ? `--listen ${formatListen({ ...address, port: address.port + 1 })}`
      : `--listen unix:${address.path}2`;
  return `${problem}; another tuplewatch may be running there; choose another with ${other}`;
}
