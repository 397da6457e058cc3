import { HttpError } from "./errors.ts";

const RETRY_AFTER_S = 1;

/** For work that is dear: who comes while `limit` are at it is told to come again. */
export function atMost<A, R>(limit: number, what: string, act: (argument: A) => Promise<R>) {
  let busy = 0;
  return async (argument: A): Promise<R> => {
    if (busy >= limit) {
      const retryAfter = { "retry-after": String(RETRY_AFTER_S) };
      const others = limit === 1 ? "somebody else" : `${limit} others`;
      throw new HttpError(503, "busy", `${what} is being made for ${others}`, {}, retryAfter);
    }
    busy += 1;
    try {
      return await act(argument);
    } finally {
      busy -= 1;
    }
  };
}
