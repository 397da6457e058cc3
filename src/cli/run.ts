import type { Logger } from "pino";
import { loadConfig } from "../config/load.ts";
import type { DaemonConfig } from "../config/options.ts";
import { type Daemon, startDaemon } from "../daemon.ts";
import { createLogger } from "../logger.ts";
import { accessWarnings } from "../serve/access/access.ts";
import { AccessSource } from "../serve/access/access-source.ts";
import { ListenError } from "../serve/listen.ts";
import { handedOverSocket } from "../supervise/handed-over.ts";
import { ServiceManager } from "../supervise/service-manager.ts";
import type { Flags } from "./flags.ts";

/** After the first signal the process is gone within this time, whatever still runs. */
const STOP_LIMIT_MS = 5000;

const FAILURE = 1;

/** `tuplewatch run`: returns when the daemon serves; signals end the process. */
export async function run(flags: Flags): Promise<void> {
  const config = settings(flags);
  const logger = await createLogger(config);
  dieLoudly(logger);
  const manager = ServiceManager.find(process.env);
  const access = openAccess(config, logger);
  const starting = start(config, logger, access);
  stopOnSignals(starting, logger, manager);
  try {
    const daemon = await starting;
    manager?.ready(() => daemon.summary());
  } catch (error) {
    const expected = isForTheUser(error);
    logger.fatal(expected ? {} : { err: error }, expected ? error.message : "cannot start");
    process.exit(FAILURE);
  }
}

/** The kernel side is loaded only here: no other command needs it. */
async function start(config: DaemonConfig, logger: Logger, access: AccessSource): Promise<Daemon> {
  const { Watch } = await import("../watch.ts");
  const { dropPrivileges } = await import("../kernel/privileges.ts");
  const { keepCapabilities, user } = config;
  return startDaemon(
    config,
    logger,
    access,
    (context) => new Watch(context),
    () => dropPrivileges(keepCapabilities, user),
  );
}

/** Errors that speak for themselves, without a stack. */
function isForTheUser(error: unknown): error is Error {
  const names = ["BpfError", "StartError"];
  return error instanceof ListenError || (error instanceof Error && names.includes(error.name));
}

function settings({ configFile, ...flags }: Flags): DaemonConfig {
  const environment = process.env;
  const file = configFile === undefined ? {} : { configFile };
  const { listen, ...config } = loadConfig({ flags, environment, ...file });
  return { ...config, listen: listen.kind === "systemd" ? handedOverSocket(environment) : listen };
}

function openAccess(config: DaemonConfig, logger: Logger): AccessSource {
  const access = new AccessSource(config, logger);
  for (const warning of accessWarnings(config, access.current)) logger.warn(warning);
  return access;
}

/** Supervisors restart a daemon that is gone, not one that limps. */
function dieLoudly(logger: Logger): void {
  for (const event of ["uncaughtException", "unhandledRejection"] as const) {
    process.on(event, (error: unknown) => {
      logger.fatal({ err: error }, event);
      process.exit(FAILURE);
    });
  }
}

function stopOnSignals(
  starting: Promise<Daemon>,
  logger: Logger,
  manager: ServiceManager | undefined,
): void {
  let stopping = false;
  const onSignal = (signal: NodeJS.Signals) => {
    if (stopping) {
      logger.warn({ signal }, "second signal: stopping at once");
      process.exit(FAILURE);
    }
    stopping = true;
    logger.info({ signal }, "stopping");
    manager?.stopping();
    void stop(starting, logger);
  };
  process.on("SIGTERM", onSignal);
  process.on("SIGINT", onSignal);
}

async function stop(starting: Promise<Daemon>, logger: Logger): Promise<void> {
  setTimeout(() => {
    logger.error({ limitMs: STOP_LIMIT_MS }, "not stopped in time");
    process.exit(FAILURE);
  }, STOP_LIMIT_MS).unref();
  const daemon = await starting;
  await daemon.stop();
  logger.info("stopped");
  process.exit(0);
}
