import type { Logger } from "pino";
import type { Settings } from "../channel/answers.ts";
import { loadConfig } from "../config/load.ts";
import type { Config, DaemonConfig } from "../config/options.ts";
import { createLog, type Log } from "../daemon/log/logger.ts";
import { Reload } from "../daemon/reload.ts";
import { SdNotify } from "../daemon/systemd/sd-notify.ts";
import { activatedSockets } from "../daemon/systemd/socket-activation.ts";
import type { DaemonProcess } from "../daemon/watch/daemon-process.ts";
import { accessWarnings } from "../http/access/access.ts";
import { AccessSource } from "../http/access/access-source.ts";
import { ListenError } from "../http/listen/open.ts";
import type { Flags } from "./flags.ts";
import { reloadOnHangup, stopOnSignals } from "./signals.ts";

const FAILURE = 1;

/** `tuplewatch run`: returns when the daemon serves; signals end the process. */
export async function run(flags: Flags): Promise<void> {
  const read = () => readConfig(flags);
  const loaded = read();
  const config = toDaemon(loaded);
  const log = await createLog(config);
  const { logger } = log;
  exitOnUncaught(logger);
  const manager = SdNotify.find(process.env);
  const access = openAccess(config, logger);
  const starting = start(config, log, access);
  stopOnSignals(starting, logger, manager);
  try {
    const daemon = await starting;
    await daemon.served;
    const adjust = (settings: Settings) => daemon.adjust(settings);
    reloadOnHangup(new Reload({ logger, access, adjust }, loaded, read));
    manager?.ready(daemon);
  } catch (error) {
    const expected = isForTheUser(error);
    logger.fatal(expected ? {} : { err: error }, expected ? error.message : "cannot start");
    process.exit(FAILURE);
  }
}

/** The kernel side is loaded only here: no other command needs it. */
async function start(config: DaemonConfig, log: Log, access: AccessSource): Promise<DaemonProcess> {
  const { DaemonProcess } = await import("../daemon/watch/daemon-process.ts");
  return DaemonProcess.start({
    config,
    log,
    access,
    onFailure: (reason) => {
      log.logger.fatal(reason);
      process.exit(FAILURE);
    },
  });
}

/** Errors that speak for themselves, without a stack. */
function isForTheUser(error: unknown): error is Error {
  const names = ["BpfError", "StartError"];
  return error instanceof ListenError || (error instanceof Error && names.includes(error.name));
}

function readConfig({ configFile, ...flags }: Flags): Config {
  const file = configFile === undefined ? {} : { configFile };
  return loadConfig({ flags, environment: process.env, ...file });
}

function toDaemon({ listen, ...config }: Config): DaemonConfig {
  const listeners = listen.flatMap((one) =>
    one.kind === "systemd" ? activatedSockets(process.env, one.scope) : [one],
  );
  return { ...config, listen: listeners };
}

function openAccess(config: DaemonConfig, logger: Logger): AccessSource {
  const access = new AccessSource(config, logger);
  for (const warning of accessWarnings(config, access.current)) logger.warn(warning);
  return access;
}

/** Supervisors restart a daemon that is gone, not one that limps. */
function exitOnUncaught(logger: Logger): void {
  for (const event of ["uncaughtException", "unhandledRejection"] as const) {
    process.on(event, (error: unknown) => {
      logger.fatal({ err: error }, event);
      process.exit(FAILURE);
    });
  }
}
