import { isDeepStrictEqual } from "node:util";
import type { Logger } from "pino";
import type { Settings } from "../channel/answers.ts";
import { type Config, flagName, OPTION_NAMES, type OptionName } from "../config/options.ts";
import { UsageError } from "../config/usage-error.ts";
import type { AccessSource } from "../http/access/access-source.ts";
import { reasonOf } from "../util/errno.ts";

/** Parts of the daemon that settings can change while it runs. */
export interface Adjustable {
  readonly logger: Logger;
  readonly access: AccessSource;
  adjust(settings: Settings): void;
}

/** The others are in the kernel's programs, or in what was opened with the rights of the start. */
const ADJUSTABLE: readonly OptionName[] = [
  "logLevel",
  "findingQuietSeconds",
  "journalEvents",
  "journalBytes",
];

/** Reads the settings again, on SIGHUP. */
export class Reload {
  readonly #parts: Adjustable;
  readonly #read: () => Config;
  #config: Config;

  /** `read` throws a UsageError that tells all that is wrong. */
  constructor(parts: Adjustable, config: Config, read: () => Config) {
    this.#parts = parts;
    this.#config = config;
    this.#read = read;
  }

  /** Takes over what can change, and says what cannot; a mistake changes nothing. */
  run(): void {
    const { logger, access } = this.#parts;
    access.look();
    try {
      this.#adjust(this.#read());
    } catch (error) {
      const problems = error instanceof UsageError ? error.problems : [reasonOf(error)];
      logger.error({ problems }, "settings stay as they were");
    }
  }

  #adjust(config: Config): void {
    const { logger } = this.#parts;
    const changed = OPTION_NAMES.filter(
      (name) => !isDeepStrictEqual(config[name], this.#config[name]),
    );
    const fixed = changed.filter((name) => !ADJUSTABLE.includes(name));
    const adjusted = changed.filter((name) => ADJUSTABLE.includes(name));
    this.#config = { ...this.#config, ...pick(config, adjusted) };
    logger.level = this.#config.logLevel;
    if (adjusted.length > 0) this.#parts.adjust(settingsOf(this.#config));
    logger.info({ changed: adjusted.map(flagName) }, "settings were read again");
    if (fixed.length > 0) logger.warn({ settings: fixed.map(flagName) }, "a restart is needed");
  }
}

function settingsOf(config: Config): Settings {
  const { findingQuietSeconds, journalBytes, journalEvents, logLevel } = config;
  return { findingQuietSeconds, journalBytes, journalEvents, logLevel };
}

function pick(config: Config, names: readonly OptionName[]): Partial<Config> {
  return Object.fromEntries(names.map((name) => [name, config[name]]));
}
