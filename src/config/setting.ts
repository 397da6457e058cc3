/** A value as somebody wrote it, and where: a flag, a variable, or FILE:LINE and key. */
export interface Setting {
  readonly text: string;
  readonly where: string;
}

/** Settings of one source and what was wrong with it. Keys are option names. */
export interface Source<K extends string> {
  readonly settings: ReadonlyMap<K, Setting>;
  readonly problems: readonly string[];
}
