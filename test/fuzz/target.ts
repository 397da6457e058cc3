import fc from "fast-check";

/** One thing that takes input from elsewhere. */
export interface FuzzTarget {
  readonly name: string;
  /** Its part of all cases, relative to the others'. */
  readonly weight: number;
  /** What holds of any input: called once, so that state which lasts is tested too. */
  create(): fc.IRawProperty<unknown>;
  /** Heap that it may take beside the default, for state that is bounded but not small. */
  readonly growthBytes?: number;
}

/** Any text, and text made of pieces that mean something to the reader. */
export function textOf(pieces: readonly string[], maxPieces = 12): fc.Arbitrary<string> {
  const piece = fc.oneof(
    { weight: 4, arbitrary: fc.constantFrom(...pieces) },
    { weight: 1, arbitrary: fc.string({ unit: "binary", maxLength: 8 }) },
    { weight: 1, arbitrary: fc.string({ unit: "grapheme-ascii", maxLength: 8 }) },
  );
  return fc.array(piece, { maxLength: maxPieces }).map((parts) => parts.join(""));
}

/** Names that every object has. */
export const INHERITED = ["__proto__", "constructor", "hasOwnProperty", "toString", "valueOf"];

/** Fails if anything but `expected` is thrown. Undefined where it is. */
export function unless<T>(isExpected: (error: unknown) => boolean, act: () => T): T | undefined {
  try {
    return act();
  } catch (error) {
    if (isExpected(error)) return undefined;
    throw error;
  }
}
