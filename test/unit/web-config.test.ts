import assert from "node:assert/strict";
import { describe, it } from "node:test";
import { parseWebConfig, type WebConfigFile } from "../../src/config/web-config.ts";

/** Any 53 characters of bcrypt's alphabet will do for the parser. */
const HASH = `$2y$10$${"abcdefghijklmnopqrstuv"}${"0123456789abcdefghijklmnopqrstu"}`;

const parse = (...lines: string[]): WebConfigFile =>
  parseWebConfig("/etc/t/web.yaml", lines.join("\n"));
const problemsOf = (...lines: string[]) => parse(...lines).problems;

describe("a web configuration file", () => {
  it("may hold everything that Prometheus' exporters know", () => {
    const { config, problems } = parse(
      "tls_server_config:",
      "  cert_file: server.crt",
      "  key_file: /etc/keys/server.key",
      "  client_auth_type: RequireAndVerifyClientCert",
      "  client_ca_file: ca.crt",
      "  client_allowed_sans: [prometheus.example]",
      "  min_version: TLS12",
      "  max_version: TLS13",
      "  cipher_suites: [TLS_ECDHE_RSA_WITH_AES_128_GCM_SHA256]",
      "  curve_preferences: [X25519, CurveP256]",
      "  prefer_server_cipher_suites: false",
      "http_server_config:",
      "  http2: true",
      "  headers:",
      "    X-Frame-Options: deny",
      "    Strict-Transport-Security: max-age=31536000",
      '    X-XSS-Protection: ""',
      "basic_auth_users:",
      `  alice: ${HASH}`,
      "rate_limit:",
      "  interval: 1.5s",
      "  burst: 20",
    );
    assert.deepEqual(problems, []);
    assert.deepEqual(config.tls, {
      cert: { path: "/etc/t/server.crt" },
      key: { path: "/etc/keys/server.key" },
      clientCa: { path: "/etc/t/ca.crt" },
      clientAuth: "RequireAndVerifyClientCert",
      clientAllowedSans: ["prometheus.example"],
      minVersion: "TLSv1.2",
      maxVersion: "TLSv1.3",
      cipherSuites: ["ECDHE-RSA-AES128-GCM-SHA256"],
      curves: ["X25519", "P-256"],
      preferServerCiphers: false,
    });
    assert.deepEqual(config.headers, {
      "X-Frame-Options": "deny",
      "Strict-Transport-Security": "max-age=31536000",
    });
    assert.deepEqual([...config.users], [["alice", HASH]]);
    assert.deepEqual(config.rateLimit, { intervalMs: 1500, burst: 20 });
  });

  it("asks for nothing when it is empty", () => {
    for (const text of ["", "# nothing", "tls_server_config:", "tls_server_config: {}"]) {
      const { config, problems } = parse(text, "basic_auth_users:", "http_server_config:");
      assert.deepEqual(problems, []);
      assert.equal(config.tls, undefined);
      assert.equal(config.users.size, 0);
    }
  });

  it("may hold certificate and key themselves", () => {
    const { config } = parse("tls_server_config:", "  cert: C", "  key: K");
    assert.deepEqual([config.tls?.cert, config.tls?.key], [{ text: "C" }, { text: "K" }]);
  });

  const wrong: [string, string[], RegExp][] = [
    [
      "an unknown section",
      ["tls_sever_config:"],
      /^.*:1:1: unknown key \(did you mean tls_server_config\?\)$/,
    ],
    [
      "an unknown key",
      ["tls_server_config:", "  cert_file: a", "  keyfile: b"],
      /^\/etc\/t\/web.yaml:3:3: unknown key \(did you mean key_file\?\)$/,
    ],
    ["an unknown key of http", ["http_server_config:", "  htp2: true"], /did you mean http2\?/],
    [
      "a header that is none of the five",
      ["http_server_config:", "  headers:", "    X-Frame-Option: deny"],
      /:3:5: unknown key \(did you mean X-Frame-Options/,
    ],
    ["a wrong word", ["http_server_config:", "  http2: maybe"], /expected true or false$/],
    ["text for a section", ["basic_auth_users: alice"], /expected "key: value" lines$/],
    ["a key without a certificate", ["tls_server_config:", "  key: k"], /needs cert_file or cert$/],
    [
      "a version that is none",
      ["tls_server_config:", "  cert: a", "  key: b", "  min_version: TLS1.2"],
      /min_version: expected one of TLS10, TLS11, TLS12, TLS13$/,
    ],
    [
      "versions in the wrong order",
      [
        "tls_server_config:",
        "  cert: a",
        "  key: b",
        "  min_version: TLS13",
        "  max_version: TLS12",
      ],
      /min_version is above max_version$/,
    ],
    [
      "a CA that nobody is checked with",
      ["tls_server_config:", "  cert: a", "  key: b", "  client_ca: c"],
      /a client CA needs a client_auth_type/,
    ],
    [
      "a check without a CA",
      [
        "tls_server_config:",
        "  cert: a",
        "  key: b",
        "  client_auth_type: VerifyClientCertIfGiven",
      ],
      /needs client_ca_file or client_ca$/,
    ],
    [
      "names without certificates",
      ["tls_server_config:", "  cert: a", "  key: b", "  client_allowed_sans: [x]"],
      /client_allowed_sans needs client_auth_type/,
    ],
    ["a limit without burst", ["rate_limit:", "  interval: 1s"], /needs burst too$/],
    ["a colon in a name", ["basic_auth_users:", `  "a:b": ${HASH}`], /cannot have a colon$/],
  ];
  for (const [name, lines, expected] of wrong) {
    it(`is refused for ${name}`, () => {
      const problems = problemsOf(...lines);
      assert.equal(problems.length, 1, problems.join("\n"));
      assert.match(problems[0] ?? "", expected);
    });
  }

  it("is refused for what is no bcrypt hash, without showing it", () => {
    const bad = ["hunter2", HASH.slice(0, -1), HASH.replace("$10$", "$03$"), `${HASH}x`, "[1]"];
    for (const secret of [...bad, HASH.replace("$10$", "$19$"), HASH.replace("$2y", "$2x")]) {
      const [problem = "", ...more] = problemsOf("basic_auth_users:", `  alice: ${secret}`);
      assert.match(problem, /^\/etc\/t\/web.yaml:2:3: expected a bcrypt hash/);
      assert.ok(!problem.includes(secret));
      assert.deepEqual(more, []);
    }
  });

  const secret = "hunter2";
  const broken: [string, string[]][] = [
    ["its syntax", ["basic_auth_users: {alice: @hunter2"]],
    ["its syntax, in the line of a hash", ["basic_auth_users:", "  alice: $2y$10$hunter2: x"]],
    ["a quote that does not end", ["basic_auth_users:", '  alice: "hunter2']],
    ["a tab", ["basic_auth_users:", "\talice: hunter2"]],
    ["an alias", ["basic_auth_users:", "  alice: *hunter2"]],
    ["a tag", ["basic_auth_users:", "  alice: !hunter2 hunter2"]],
    ["a directive", ["%hunter2 x", "---", "a: b"]],
    ["a second document", ["a: b", "--- hunter2", "c: d"]],
    ["a text alone", ["hunter2"]],
    ["a list", ["- hunter2"]],
    ["a section that is a text", ["basic_auth_users: hunter2"]],
    ["a section that is none", ["hunter2:", "  alice: x"]],
    ["a key that is a text in quotes", ['"hunter2 hunter2": x']],
    ["a key that is a map", ["? {hunter2: hunter2}", ": x"]],
    ["a name and a hash in the wrong order", ["basic_auth_users:", "  hunter2: alice"]],
    ["a name with a colon", ["basic_auth_users:", `  "hunter2:x": ${HASH}`]],
    ["a name that is there twice", ["basic_auth_users:", "  hunter2: x", "  hunter2: x"]],
    ["an unknown key of TLS", ["tls_server_config:", "  hunter2: x"]],
    ["a map for a text", ["tls_server_config:", "  key: {hunter2: hunter2}"]],
    ["a word", ["tls_server_config:", "  cert: a", "  key: b", "  min_version: hunter2"]],
    ["words", ["tls_server_config:", "  cert: a", "  key: b", "  cipher_suites: [hunter2]"]],
    ["a truth value", ["http_server_config:", "  http2: hunter2"]],
    ["a header", ["http_server_config:", "  headers:", "    hunter2: hunter2"]],
    ["a header's value", ["http_server_config:", "  headers:", "    X-Frame-Options: hunter2"]],
    ["a duration", ["rate_limit:", "  interval: hunter2", "  burst: hunter2"]],
  ];
  for (const [what, lines] of broken) {
    it(`has its place and nothing else in a message about ${what}`, () => {
      const problems = problemsOf(...lines);
      assert.ok(problems.length > 0);
      for (const problem of problems) {
        assert.match(problem, /^\/etc\/t\/web\.yaml:\d+:\d+: /);
        assert.ok(!problem.includes(secret) && !problem.includes("alice"), problem);
      }
    });
  }
});
