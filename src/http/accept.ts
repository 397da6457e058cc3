import type { StreamFormat } from "../journal/encoding.ts";

/**
 * SSE for clients that name `text/event-stream` and do not rate NDJSON higher (RFC 9110, section
 * 12.5.1); NDJSON for all others, also for those whose Accept names neither.
 */
export function negotiateFormat(accept: string | undefined): StreamFormat {
  const sse = quality(accept ?? "", "text/event-stream");
  const ndjson = quality(accept ?? "", "application/x-ndjson");
  return sse > 0 && sse >= ndjson ? "sse" : "ndjson";
}

/** Whether the client names gzip in Accept-Encoding and does not rule it out. */
export function acceptsGzip(acceptEncoding: string | undefined): boolean {
  return quality(acceptEncoding ?? "", "gzip") > 0;
}

/** The weight given to exactly this value, 0 if it is not named. */
function quality(accept: string, wanted: string): number {
  for (const range of accept.toLowerCase().split(",")) {
    const [value = "", ...parameters] = range.split(";").map((part) => part.trim());
    if (value === wanted) {
      const weight = parameters.find((parameter) => parameter.startsWith("q="));
      return weight === undefined ? 1 : Number.parseFloat(weight.slice(2)) || 0;
    }
  }
  return 0;
}
