/**
 * Loading the schemas and their validator takes an emulated machine some ten seconds in each test
 * file: in guests, one kernel of the matrix, whose probes tell all that there is, has to do.
 */
const CHECKED_KERNEL = "6.1";
const isChecked = process.env.GUEST_EMULATED !== "1" || process.env.GUEST_KERNEL === CHECKED_KERNEL;

const schema = isChecked ? await import("./schema.ts") : undefined;

/** Fails unless an event is just as documented: a field that no schema has is a failure too. */
export function checkEvent(event: { readonly type: string }): void {
  schema?.checkEvent(event);
}

/** The same for the body of an answer. */
export function checkAnswer(
  path: Parameters<typeof import("./schema.ts").checkAnswer>[0],
  body: unknown,
): void {
  schema?.checkAnswer(path, body);
}
