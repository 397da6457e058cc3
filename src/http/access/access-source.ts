import { statSync } from "node:fs";
import type { Logger } from "pino";
import { errnoOf, reasonOf } from "../../util/errno.ts";
import { type Access, type AccessConfig, loadAccess } from "./access.ts";
import type { AccessRules } from "./rules.ts";

const LOOK_MS = 2000;

/**
 * The access rules in force. Files that change, certificates above all, are read again; what is
 * wrong with them then is logged, and the rules stay as they were.
 */
export class AccessSource implements AccessRules {
  readonly #config: AccessConfig;
  readonly #logger: Logger;
  readonly #timer: NodeJS.Timeout;
  #current: Access;
  #seen: string;
  #complained = "";
  readonly #listeners: ((access: Access) => void)[] = [];

  /** @throws UsageError */
  constructor(config: AccessConfig, logger: Logger) {
    this.#config = config;
    this.#logger = logger;
    this.#current = loadAccess(config);
    this.#seen = fingerprint(this.#current.files);
    this.#timer = setInterval(() => this.look(), LOOK_MS);
    this.#timer.unref();
  }

  get current(): Access {
    return this.#current;
  }

  get config(): AccessConfig {
    return this.#config;
  }

  /** `changed` is called with each new version. */
  onChange(changed: (access: Access) => void): void {
    this.#listeners.push(changed);
  }

  close(): void {
    clearInterval(this.#timer);
  }

  /** Reads the files again that have changed. */
  look(): void {
    const seen = fingerprint(this.#current.files);
    if (seen === this.#seen) return;
    try {
      this.#replace(loadAccess(this.#config));
      this.#complained = "";
    } catch (error) {
      this.#complain(seen, reasonOf(error));
    }
  }

  /** Once for each state of the files; tried again, since what was missing may be a descriptor. */
  #complain(seen: string, reason: string): void {
    const complaint = `${seen} ${reason}`;
    if (complaint === this.#complained) return;
    this.#complained = complaint;
    this.#logger.error({ reason }, "access rules stay as they were");
  }

  #replace(access: Access): void {
    if ((access.tls === undefined) !== (this.#current.tls === undefined)) {
      throw new Error("turning TLS on or off needs a restart");
    }
    if (access.web.tls?.clientAuth !== this.#current.web.tls?.clientAuth) {
      throw new Error("another client_auth_type needs a restart");
    }
    for (const changed of this.#listeners) changed(access);
    this.#current = access;
    this.#seen = fingerprint(access.files);
    const { webConfig, bearerTokenFile } = this.#config;
    this.#logger.info({ webConfig, bearerTokenFile }, "access rules were read again");
  }
}

/** Changes when a file does, or a link is made to point at another. */
function fingerprint(files: readonly string[]): string {
  return files.map(stamp).join(";");
}

function stamp(path: string): string {
  try {
    const { ino, size, mtimeNs } = statSync(path, { bigint: true });
    return `${ino} ${size} ${mtimeNs}`;
  } catch (error) {
    return errnoOf(error) ?? "unreadable";
  }
}
