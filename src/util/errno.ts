import { getSystemErrorMap } from "node:util";

/** `no such file or directory (ENOENT)` for an error of the system, else the error's message. */
export function reasonOf(error: unknown): string {
  if (!(error instanceof Error)) {
    return String(error);
  }
  const { errno, code, syscall, path } = error as NodeJS.ErrnoException;
  const known = errno === undefined ? undefined : getSystemErrorMap().get(errno);
  if (known === undefined || code === undefined) return error.message;
  const reason = `${known[1]} (${code})`;
  // Met anywhere, while who reports it knows of one of the things only that he does.
  return isOutOfDescriptors(error) ? `${syscall} ${path ?? "a descriptor"}: ${reason}` : reason;
}

export function isOutOfDescriptors(error: unknown): boolean {
  return ["EMFILE", "ENFILE"].includes(errnoOf(error) ?? "");
}

/** The errno name of an error of the system, such as `EADDRINUSE`. */
export function errnoOf(error: unknown): string | undefined {
  return error instanceof Error ? (error as NodeJS.ErrnoException).code : undefined;
}

/** `address already in use (EADDRINUSE)` for the name of an errno. */
export function reasonOfErrno(code: string): string {
  const known = [...getSystemErrorMap().values()].find(([name]) => name === code);
  return known === undefined ? code : `${known[1]} (${code})`;
}
