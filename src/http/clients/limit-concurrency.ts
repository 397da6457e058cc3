import { HttpError } from "../errors.ts";
import type { Client } from "./client.ts";
import { ClientCounts } from "./client-counts.ts";

export interface ConcurrencyLimits {
  /** At once. */
  readonly limit: number;
  /** Of how many owners one request each may wait for its turn. */
  readonly waiting: number;
  /** Begins the sentence "... is being made for". */
  readonly what: string;
  readonly onRefused: (reason: "client_share" | "full") => void;
}

const RETRY_AFTER_S = 1;

/**
 * For work that is dear: who comes while `limit` are at it is told to come again, or waits. One
 * address gets half of the places at most, and one owner all but one, so that others get in.
 */
export function limitConcurrency<A, R>(
  { limit, waiting, what, onRefused }: ConcurrencyLimits,
  act: (argument: A) => Promise<R>,
) {
  const ofAddress = Math.ceil(limit / 2);
  const ofOwner = Math.max(1, limit - 1);
  const busy = new ClientCounts();
  const queue = new Map<string, () => void>();
  let running = 0;

  const refuse = (): never => {
    const isShare = running < limit;
    onRefused(isShare ? "client_share" : "full");
    const whom = isShare ? "this client" : limit === 1 ? "somebody else" : `${limit} requests`;
    const most = isShare ? "as often as one client may have it" : "as often as it may be";
    const headers = { "retry-after": String(RETRY_AFTER_S) };
    throw new HttpError(503, "busy", `${what} is being made for ${whom}, ${most}`, {}, headers);
  };

  return async (client: Client, argument: A): Promise<R> => {
    const hasShare = busy.ofAddress(client) < ofAddress && busy.ofOwner(client) < ofOwner;
    if (running >= limit || !hasShare) {
      if (queue.size >= waiting || queue.has(client.owner)) refuse();
      await new Promise<void>((resolve) => queue.set(client.owner, resolve));
    } else {
      running += 1;
    }
    busy.add(client);
    try {
      return await act(argument);
    } finally {
      busy.remove(client);
      const [next] = queue;
      if (next === undefined) {
        running -= 1;
      } else {
        // Its place goes on to whoever waits first.
        queue.delete(next[0]);
        next[1]();
      }
    }
  };
}
