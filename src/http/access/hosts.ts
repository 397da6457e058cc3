import { isIP } from "node:net";
import type { ListenAddress } from "../../config/listen-setting.ts";
import type { Config } from "../../config/options.ts";
import { HttpError } from "../errors.ts";
import { canonicalAddress } from "../query/addresses.ts";

/** @throws HttpError with status 400 or 403 */
export type HostRule = (rawHeaders: readonly string[]) => void;

/** Names that no DNS answer can point at this daemon. */
const OWN_NAMES = ["localhost", "127.0.0.1", "::1"];

/**
 * Which Host headers are answered. A page of a name that its owner makes resolve to 127.0.0.1 (DNS
 * rebinding) could else read everything here with the browser's help: its requests carry that
 * name. Any port is accepted, for forwarded ones. A unix socket's clients have no host to name.
 */
export function hostRule(listen: ListenAddress, allowed: Config["allowedHosts"]): HostRule {
  if (listen.kind === "unix") return () => {};
  const any = allowed === "any" || (allowed === "auto" && !isLoopback(listen));
  const names = [...OWN_NAMES, listen.host.toLowerCase(), ...(any ? [] : listOf(allowed))];
  const known = new Set(names.map((name) => canonicalAddress(name) ?? name));
  return (rawHeaders) => {
    const values = rawHeaders.filter(
      (_, i) => rawHeaders[i - 1]?.toLowerCase() === "host" && i % 2,
    );
    if (values.length !== 1) {
      throw malformed(`expected one Host header, found ${values.length}`);
    }
    const host = hostOf(values[0] ?? "");
    if (host === undefined) throw malformed("the Host header is no HOST or HOST:PORT");
    if (!any && !known.has(host)) throw forbidden(host);
  };
}

/** Whether only this machine can connect. A name other than localhost may mean anything. */
export function isLoopback(listen: ListenAddress): boolean {
  if (listen.kind === "unix") return true;
  const host = canonicalAddress(listen.host) ?? listen.host.toLowerCase();
  return host === "localhost" || isLoopbackAddress(host);
}

export function isLoopbackAddress(address: string): boolean {
  return address === "::1" || (isIP(address) === 4 && address.startsWith("127."));
}

/** The host of a Host header (RFC 9110, section 7.2) in one spelling; undefined if it is none. */
export function hostOf(header: string): string | undefined {
  const syntax = /^(?:\[([0-9a-f:.]+)\]|([a-z0-9._-]+))(?::\d{1,5})?$/i;
  const [, bracketed, plain] = syntax.exec(header) ?? [];
  if (bracketed !== undefined) {
    return isIP(bracketed) === 6 ? canonicalAddress(bracketed) : undefined;
  }
  return plain?.toLowerCase();
}

function listOf(allowed: Config["allowedHosts"]): readonly string[] {
  return typeof allowed === "string" ? [] : allowed;
}

function malformed(message: string): HttpError {
  return new HttpError(400, "bad_host", message);
}

function forbidden(host: string): HttpError {
  const name = host.length > 80 ? `${host.slice(0, 80)}...` : host;
  const message = `this daemon is not called ${name}; see --allowed-hosts`;
  return new HttpError(403, "host_not_allowed", message);
}
