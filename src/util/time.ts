/** Moves a time in RFC 3339, UTC; digits below the millisecond stay as they are. */
export function shiftTime(text: string, byMs: number): string {
  const [, finer = ""] = /\.\d{3}(\d*)Z$/.exec(text) ?? [];
  return new Date(Date.parse(text) + byMs).toISOString().replace("Z", `${finer}Z`);
}
