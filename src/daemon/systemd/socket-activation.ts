import { socketName } from "libbpf-ts";
import type { Listener, Scope } from "../../config/listen-setting.ts";
import { UsageError } from "../../config/usage-error.ts";
import { parseSocketName } from "../../http/listen/socket-name.ts";
import { reasonOf } from "../../util/errno.ts";

/** The first descriptor that a service manager hands over (sd_listen_fds(3)). */
const LISTEN_FDS_START = 3;

/** More than anybody serves on. */
const MAX_SOCKETS = 64;

/** A socket of this name (FileDescriptorName= of its unit) is for scrapers. */
const METRICS_NAME = "metrics";

/**
 * Socket activation: addresses and descriptors of the sockets that the service manager bound, and
 * keeps over restarts. `scope` is what they serve, but for those named `metrics`.
 *
 * @throws UsageError if what the service manager did is not what the settings say.
 */
export function activatedSockets(environment: NodeJS.ProcessEnv, scope: Scope): Listener[] {
  const { LISTEN_PID, LISTEN_FDS, LISTEN_FDNAMES = "" } = environment;
  const count = Number(LISTEN_PID) === process.pid ? Number(LISTEN_FDS) : 0;
  if (!Number.isInteger(count) || count < 1 || count > MAX_SOCKETS) {
    const handed = count > MAX_SOCKETS ? `more than ${MAX_SOCKETS} sockets` : "no socket";
    throw cannotListen(`the service manager handed over ${handed} (LISTEN_FDS)`);
  }
  const names = LISTEN_FDNAMES.split(":");
  return Array.from({ length: count }, (_, i) => ({
    ...addressOf(LISTEN_FDS_START + i),
    fd: LISTEN_FDS_START + i,
    scope: names[i] === METRICS_NAME ? METRICS_NAME : scope,
  }));
}

function addressOf(fd: number) {
  try {
    return parseSocketName(socketName(fd));
  } catch (error) {
    throw cannotListen(reasonOf(error));
  }
}

function cannotListen(reason: string): UsageError {
  return new UsageError([`cannot listen on systemd: ${reason}`]);
}
