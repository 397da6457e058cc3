/** How undici names a connection that the other side has closed. */
const CLOSED = ["UND_ERR_SOCKET", "ECONNRESET"];

/**
 * As fetch(), for requests without effect. A connection kept from an earlier request is asked again
 * where it turns out to be closed: a test that blocked for long, while faults were made, has not
 * heard that the daemon gave it up. A daemon that has ended refuses the second one.
 */
export async function fetchAgain(url: string): Promise<Response> {
  try {
    return await fetch(url);
  } catch (error) {
    const { code } = ((error as Error).cause ?? {}) as { code?: string };
    if (code !== undefined && CLOSED.includes(code)) return fetch(url);
    throw error;
  }
}
