import type { TlsOptions } from "node:tls";
import { formatListen, type Listener } from "../../config/listen-setting.ts";
import type { DaemonConfig } from "../../config/options.ts";
import { UsageError } from "../../config/usage-error.ts";
import { readWebConfig, type WebConfig } from "../../config/web-config.ts";
import { reasonOf } from "../../util/errno.ts";
import { isLoopback } from "./hosts.ts";
import { pathsOf, tlsOptions } from "./tls.ts";
import { readTokens } from "./tokens.ts";

export type AccessConfig = Pick<
  DaemonConfig,
  "allowedHosts" | "allowUnauthenticated" | "bearerTokenFile" | "listen" | "webConfig"
>;

/** Who may ask, and how the answers travel. */
export interface Access {
  readonly web: WebConfig;
  readonly tls?: TlsOptions;
  /** SHA-256 of the bearer tokens. */
  readonly tokens: readonly Buffer[];
  /** Files that this was read from. */
  readonly files: readonly string[];
}

const OPEN: WebConfig = { users: new Map(), headers: {} };

/** @throws UsageError that tells everything that is wrong with the files. */
export function loadAccess(config: AccessConfig): Access {
  const { webConfig: webPath, bearerTokenFile: tokenPath } = config;
  const { config: web, problems: webProblems } =
    webPath === "none" ? { config: OPEN, problems: [] } : readWebConfig(webPath);
  const { digests, problems: tokenProblems } =
    tokenPath === "none" ? { digests: [], problems: [] } : readTokens(tokenPath);
  const problems = [...webProblems, ...tokenProblems];
  const tls = web.tls === undefined ? undefined : tryTls(webPath, web.tls, problems);
  const access = {
    web,
    ...(tls !== undefined && { tls }),
    tokens: digests,
    files: [webPath, tokenPath, ...(web.tls === undefined ? [] : pathsOf(web.tls))].filter(
      (path) => path !== "none",
    ),
  };
  if (problems.length === 0) problems.push(...unprotected(config, access));
  if (problems.length > 0) throw new UsageError(problems);
  return access;
}

/** Whether a client must show who it is. */
export function authenticates({ web, tokens }: Access): boolean {
  const byCertificate = web.tls?.clientAuth === "RequireAndVerifyClientCert";
  return byCertificate || web.users.size > 0 || tokens.length > 0;
}

/** What a cautious administrator would like to know, one line each. */
export function accessWarnings(config: AccessConfig, access: Access): string[] {
  return exposed(config).flatMap((listener) => {
    const where = formatListen(listener);
    const what = listener.scope === "metrics" ? "the metrics" : "everything";
    if (!authenticates(access)) return [`everybody who can reach ${where} can read ${what}`];
    return access.tls === undefined ? [`passwords and tokens travel to ${where} without TLS`] : [];
  });
}

/** Where other machines can connect. */
function exposed({ listen }: AccessConfig): Listener[] {
  return listen.filter((listener) => !isLoopback(listener));
}

function unprotected(config: AccessConfig, access: Access): string[] {
  if (config.allowUnauthenticated === "on" || authenticates(access)) return [];
  return exposed(config).map(
    (listener) =>
      `cannot serve on ${formatListen(listener)} without authentication: give --web-config with ` +
      "passwords or client certificates, or --bearer-token-file, or allow it with " +
      "--allow-unauthenticated on",
  );
}

function tryTls(
  webPath: string,
  settings: NonNullable<WebConfig["tls"]>,
  problems: string[],
): TlsOptions | undefined {
  try {
    return tlsOptions(settings);
  } catch (error) {
    problems.push(`${webPath}: tls_server_config: ${reasonOf(error)}`);
    return undefined;
  }
}
