import { createHmac, randomBytes } from "node:crypto";
import { setTimeout as sleep } from "node:timers/promises";
import { LruMap } from "../../util/lru.ts";
import { HttpError } from "../errors.ts";
import { Bcrypt } from "./bcrypt.ts";

export interface Login {
  readonly user: string;
  readonly password: string;
  /** Whose it is: an address, or a local user. */
  readonly client: string;
}

/** Passwords being checked or waiting for it, in all and of one client. */
const MAX_PENDING = 32;
const MAX_PENDING_PER_CLIENT = 4;

const MAX_KNOWN = 1024;

/** After a wrong password the thread rests for this many times the check: a fifth of a core. */
const REST_FACTOR = 4;

interface Pending {
  readonly client: string;
  readonly result: Promise<boolean>;
}

/**
 * Checks passwords against bcrypt hashes. What was found is kept, by a keyed hash, so that a
 * scrape every few seconds costs nothing; a flood of wrong passwords waits in a short queue and
 * pushes out no right one.
 */
export class Passwords {
  readonly #bcrypt = new Bcrypt();
  readonly #key = randomBytes(32);
  readonly #right = new LruMap<string, true>(MAX_KNOWN);
  readonly #wrong = new LruMap<string, true>(MAX_KNOWN);
  readonly #pending = new Map<string, Pending>();
  #last: Promise<unknown> = Promise.resolve();

  /**
   * `users` are bcrypt hashes by name.
   * @throws HttpError with status 429 when too many wait
   */
  async accepts(users: ReadonlyMap<string, string>, login: Login): Promise<boolean> {
    const known = users.get(login.user);
    // An unknown name takes as long as a known one, or names could be guessed.
    const hash = known ?? dummyHash(users);
    const digest = this.#digest(login, hash);
    if (this.#right.get(digest)) return known !== undefined;
    if (this.#wrong.get(digest)) return false;
    const matches = await (this.#pending.get(digest)?.result ?? this.#enqueue(digest, login, hash));
    return matches && known !== undefined;
  }

  /** Loads what checks need. */
  async prepare(): Promise<void> {
    await this.#bcrypt.compare({ password: "", hash: dummyHash(new Map([["", "$2b$04$"]])) });
  }

  close(): Promise<void> {
    return this.#bcrypt.close();
  }

  #enqueue(digest: string, { password, client }: Login, hash: string): Promise<boolean> {
    const ofClient = [...this.#pending.values()].filter((other) => other.client === client);
    if (this.#pending.size >= MAX_PENDING || ofClient.length >= MAX_PENDING_PER_CLIENT) {
      const message = "too many passwords are being checked";
      throw new HttpError(429, "too_many_logins", message, {}, { "retry-after": "1" });
    }
    const turn = this.#last;
    const result = turn.then(() => this.#check(digest, password, hash));
    this.#pending.set(digest, { client, result });
    const startedAt = turn.then(() => performance.now());
    this.#last = result.then(
      async (matches) => {
        const tookMs = performance.now() - (await startedAt);
        if (!matches) await sleep(tookMs * REST_FACTOR, undefined, { ref: false });
      },
      () => {},
    );
    return result.finally(() => this.#pending.delete(digest));
  }

  async #check(digest: string, password: string, hash: string): Promise<boolean> {
    const matches = await this.#bcrypt.compare({ password, hash });
    (matches ? this.#right : this.#wrong).set(digest, true);
    return matches;
  }

  /** Keyed and with the hash, so that it is of no use elsewhere and ends with the password. */
  #digest({ user, password }: Login, hash: string): string {
    const parts = JSON.stringify([user, password, hash]);
    return createHmac("sha256", this.#key).update(parts).digest("base64");
  }
}

/** A hash of the same cost that no password is known for. */
function dummyHash(users: ReadonlyMap<string, string>): string {
  const [first = "$2b$10$"] = users.values();
  return `${first.slice(0, 7)}${"Tn5iiTf0WSYLVxNcFsGkce"}${"y7mRvbSNaNFvGWnZqVyZ5rT0q9v1u8K"}`;
}
