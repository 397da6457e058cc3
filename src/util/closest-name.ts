import { closestMatch } from "leven";

/** Longer names are not misspelt ones, and would cost time to compare. */
const MAX_CHARACTERS = 64;

/** The candidate that `name` was most likely meant to be: at most a third of it differs. */
export function closestName(name: string, candidates: readonly string[]): string | undefined {
  return name.length > MAX_CHARACTERS
    ? undefined
    : closestMatch(name, candidates, { maxDistance: Math.ceil(name.length / 3) });
}

/** ` (did you mean X?)` with `shownAs(X)`, or nothing. */
export function suggestion(
  name: string,
  candidates: readonly string[],
  shownAs: (candidate: string) => string = (candidate) => candidate,
): string {
  const near = closestName(name, candidates);
  return near === undefined ? "" : ` (did you mean ${shownAs(near)}?)`;
}
