import { formatListen } from "../../config/listen-setting.ts";
import type { Access } from "../access/access.ts";
import type { OpenListener } from "./open.ts";

/** What listens on all addresses can be reached on this one. */
const OWN_ADDRESSES: ReadonlyMap<string, string> = new Map([
  ["0.0.0.0", "127.0.0.1"],
  ["::", "::1"],
]);

/** As a client writes it, and what is there if that is not all. */
export function urlOf(
  { address, wanted }: Pick<OpenListener, "address" | "wanted">,
  { tls }: Pick<Access, "tls">,
): string {
  const limit = wanted.scope === "metrics" ? " (metrics)" : "";
  if (address.kind === "unix") return `${formatListen(address)}${limit}`;
  const host = OWN_ADDRESSES.get(address.host) ?? address.host;
  const scheme = tls === undefined ? "http" : "https";
  return `${scheme}://${formatListen({ ...address, host })}${limit}`;
}
