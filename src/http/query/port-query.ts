import type { PortReportQuery } from "../../ports/report.ts";
import { invalidValue, type RawQuery, unknownKey, valuesOf } from "./event-query.ts";

const KEYS = ["netns", "protocol"] as const;
export const PORT_PROTOCOLS = ["tcp", "udp"] as const;

/** @throws HttpError with status 400 */
export function parsePortQuery(raw: RawQuery): PortReportQuery {
  for (const key of Object.keys(raw)) {
    if (!KEYS.some((known) => known === key)) throw unknownKey(key, KEYS);
  }
  const netns = single(raw, "netns");
  if (netns !== undefined && (netns === "" || netns.length > 255)) {
    throw invalidValue("netns", netns, "1 to 255 characters");
  }
  const protocol = single(raw, "protocol");
  const known = PORT_PROTOCOLS.find((name) => name === protocol);
  if (protocol !== undefined && known === undefined) {
    throw invalidValue("protocol", protocol, `one of ${PORT_PROTOCOLS.join(", ")}`);
  }
  return { netns, protocol: known };
}

function single(raw: RawQuery, key: (typeof KEYS)[number]): string | undefined {
  const [value, second] = valuesOf(raw, key);
  if (second !== undefined) throw invalidValue(key, second, "one value, but there are several");
  return value;
}
