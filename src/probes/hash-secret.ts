import { randomInt } from "node:crypto";

/** The most that randomInt() takes. */
const MAX_SECRET = 2 ** 48 - 1;

/**
 * For `config_hash_secret`: nobody who floods a table shall know in whose place that is. One for all
 * objects, since they share tables.
 */
export const HASH_SECRET = randomInt(MAX_SECRET);
