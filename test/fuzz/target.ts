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

const MAX_CODE_POINT = 0x10ffff;

/** Any code points, control characters and halves of surrogates too. */
export function anyText(maxLength: number): fc.Arbitrary<string> {
  const code = fc.oneof(fc.nat(0x9f), fc.nat(MAX_CODE_POINT));
  return fc.array(code, { maxLength }).map((codes) => String.fromCodePoint(...codes));
}

/** Any text, and text made of pieces that mean something to the reader. */
export function textOf(pieces: readonly string[], maxPieces = 12): fc.Arbitrary<string> {
  const piece = fc.oneof(
    { weight: 4, arbitrary: fc.constantFrom(...pieces) },
    { weight: 2, arbitrary: anyText(8) },
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
