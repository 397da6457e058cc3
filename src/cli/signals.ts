import { isatty } from "node:tty";
import type { Logger } from "pino";
import type { Reload } from "../daemon/reload.ts";
import type { SdNotify } from "../daemon/systemd/sd-notify.ts";

/** After the first signal the process is gone within this time, whatever still runs. */
const STOP_LIMIT_MS = 5000;

const FAILURE = 1;

/** On a terminal SIGHUP says that it is gone, and ends the daemon as it does any program. */
const ON_TERMINAL = isatty(0);

interface Stoppable {
  stop(): Promise<void>;
}

/** SIGHUP reads the settings again; before the daemon serves it does nothing. */
export function reloadOnHangup(reload: Reload): void {
  if (!ON_TERMINAL) process.on("SIGHUP", () => reload.run());
}

/** The first signal ends the streams and detaches; the second one ends the process at once. */
export function stopOnSignals(
  starting: Promise<Stoppable>,
  logger: Logger,
  manager: SdNotify | undefined,
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
  for (const signal of ["SIGTERM", "SIGINT", "SIGQUIT"] as const) process.on(signal, onSignal);
  // By default they would end the daemon without a word.
  for (const signal of ["SIGUSR2", "SIGALRM"] as const) process.on(signal, () => {});
  process.on("SIGHUP", ON_TERMINAL ? onSignal : () => {});
}

async function stop(starting: Promise<Stoppable>, logger: Logger): Promise<void> {
  setTimeout(() => {
    logger.error({ limitMs: STOP_LIMIT_MS }, "not stopped in time");
    process.exit(FAILURE);
  }, STOP_LIMIT_MS).unref();
  const daemon = await starting;
  await daemon.stop();
  logger.info("stopped");
  process.exit(0);
}
