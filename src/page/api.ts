/** As the daemon's errors are, `{ "error": { "message": … } }`; or what a proxy says. */
async function errorMessage(response: Response): Promise<string> {
  try {
    const { error } = (await response.json()) as { error: { message: string } };
    return error.message;
  } catch {
    return response.statusText;
  }
}

const LIMIT_MS = 10_000;

/**
 * The body of an answer, relative to the page: it may be behind a proxy's prefix.
 * @throws Error with path and reason
 */
export async function getJson<Body>(path: string): Promise<Body> {
  let response: Response;
  try {
    response = await fetch(path, { cache: "no-store", signal: AbortSignal.timeout(LIMIT_MS) });
  } catch (error) {
    throw new Error(`GET /${path}: ${error instanceof Error ? error.message : error}`);
  }
  if (!response.ok) {
    throw new Error(`GET /${path}: ${response.status}: ${await errorMessage(response)}`);
  }
  return (await response.json()) as Body;
}
