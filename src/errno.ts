import { getSystemErrorMap } from "node:util";

/** `no such file or directory (ENOENT)` for an error of the system, else the error's message. */
export function reasonOf(error: unknown): string {
  if (!(error instanceof Error)) {
    return String(error);
  }
  const { errno, code } = error as NodeJS.ErrnoException;
  const known = errno === undefined ? undefined : getSystemErrorMap().get(errno);
  return known === undefined || code === undefined ? error.message : `${known[1]} (${code})`;
}

/** The errno name of an error of the system, such as `EADDRINUSE`. */
export function errnoOf(error: unknown): string | undefined {
  return error instanceof Error ? (error as NodeJS.ErrnoException).code : undefined;
}
