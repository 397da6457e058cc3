import assert from "node:assert/strict";
import fc from "fast-check";
import { parseWebConfig } from "../../src/config/web-config.ts";
import { hostRule } from "../../src/http/access/hosts.ts";
import { parseTokens } from "../../src/http/access/tokens.ts";
import { HttpError } from "../../src/http/errors.ts";
import { type FuzzTarget, INHERITED, textOf, unless } from "./target.ts";

const KEYS = [
  ...["tls_server_config", "http_server_config", "basic_auth_users", "rate_limit", "headers"],
  ...["cert_file", "key_file", "cert", "key", "client_auth_type", "client_ca_file", "http2"],
  ...["min_version", "max_version", "cipher_suites", "interval", "burst", ...INHERITED],
];
const VALUES = [
  ...[": ", ":\n  ", ":\n    ", "\n", "- ", "[", "]", "{", "}", "&a ", "*a", "!!int ", "|\n "],
  ...["TLS12", "RequireAndVerifyClientCert", "500ms", "1e9", "-1", "true", "~", "a.crt"],
  ...["user: ", "$2b$12$hNf2lSsxfm0.i4a.1kVpSOVyBCfIB51VRjgBUyv6kdnyTlgWj81Ay", "\u0000", "\t"],
];
const HOSTS = [
  ...["localhost", "localhost6", "127.0.0.1", "0177.0.0.1", "127.1", "0.0.0.0", "[::1]", "[::]"],
  ...["user@", ":", "5961", "@", ".", "example.org", "%00", " ", ",", "\u0000", "["],
];

const rule = hostRule({ kind: "tcp", host: "127.0.0.1", port: 5961 }, "auto");
const headers = fc.array(
  fc.tuple(fc.constantFrom("Host", "host", "hOST", "Accept"), textOf(HOSTS, 4)),
  { maxLength: 3 },
);

const OWN = /^(localhost|127\.0\.0\.1|\[[0:]*:0*1\])(:\d{1,5})?$/i;

export const access: FuzzTarget = {
  name: "access",
  weight: 2,
  create: () =>
    fc.property(textOf([...KEYS, ...VALUES], 30), headers, (text, pairs) => {
      const { problems } = parseWebConfig("web.yaml", text);
      for (const problem of problems) assert.match(problem, /^web\.yaml:\d+:\d+: \S/);
      for (const problem of parseTokens("tokens", text).problems) {
        assert.match(problem, /^tokens(:\d+)?: \S/);
      }
      const isPassed =
        unless(
          (error) => error instanceof HttpError,
          () => {
            rule(pairs.flat());
            return true;
          },
        ) ?? false;
      const named = pairs.filter(([name]) => name.toLowerCase() === "host");
      if (isPassed) {
        assert.equal(named.length, 1);
        assert.match(named[0]?.[1] ?? "", OWN);
      }
    }),
};
