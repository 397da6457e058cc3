import type { Access, AccessConfig } from "./access.ts";

/** The access rules in force. */
export interface AccessRules {
  readonly current: Access;
  readonly config: AccessConfig;
  /** `changed` is called with each new version, before it is the current one. */
  onChange(changed: (access: Access) => void): void;
  close(): void;
}

/** Rules that another process reads. */
export class GivenAccess implements AccessRules {
  readonly config: AccessConfig;
  #current: Access;
  readonly #listeners: ((access: Access) => void)[] = [];

  constructor(config: AccessConfig, access: Access) {
    this.config = config;
    this.#current = access;
  }

  get current(): Access {
    return this.#current;
  }

  onChange(changed: (access: Access) => void): void {
    this.#listeners.push(changed);
  }

  replace(access: Access): void {
    for (const changed of this.#listeners) changed(access);
    this.#current = access;
  }

  close(): void {}
}
