import { HttpError } from "./errors.ts";

const RETRY_AFTER_S = 1;

/** For work that is too dear to be done twice at once: who comes meanwhile is told to come again. */
export function oneAtATime<A, R>(what: string, act: (argument: A) => Promise<R>) {
  let busy = false;
  return async (argument: A): Promise<R> => {
    if (busy) {
      const retryAfter = { "retry-after": String(RETRY_AFTER_S) };
      throw new HttpError(503, "busy", `${what} is being made for somebody else`, {}, retryAfter);
    }
    busy = true;
    try {
      return await act(argument);
    } finally {
      busy = false;
    }
  };
}
