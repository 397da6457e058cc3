import assert from "node:assert/strict";
import { createHash } from "node:crypto";
import { describe, it } from "node:test";
import { isLoopback } from "../../src/http/access/hosts.ts";
import { acceptsToken, parseTokens } from "../../src/http/access/tokens.ts";
import { connectionsThatFit } from "../../src/http/descriptors.ts";
import { TokenBucket } from "../../src/util/token-bucket.ts";

const TOKEN = "abcdefghijklmnop";
const hexOf = (text: string) => createHash("sha256").update(text).digest("hex");

describe("a token file", () => {
  it("holds tokens and hashes of tokens", () => {
    const other = "x".repeat(20);
    const { digests, problems } = parseTokens("f", `# a\n\n ${TOKEN} \r\nsha256:${hexOf(other)}`);
    assert.deepEqual(problems, []);
    for (const token of [TOKEN, other]) assert.ok(acceptsToken(digests, token));
    for (const token of ["", TOKEN.slice(1), `${TOKEN} `, hexOf(other)]) {
      assert.ok(!acceptsToken(digests, token));
    }
  });

  it("is refused, by line and without its text, for what is none", () => {
    for (const line of ["short", `${TOKEN} x`, "sha256:12", `sha256:${"g".repeat(64)}`]) {
      const { problems } = parseTokens("f", `${TOKEN}\n${line}\n`);
      assert.equal(problems.length, 1);
      assert.match(problems[0] ?? "", /^f:2: expected a token/);
      assert.ok(!problems[0]?.includes(line));
    }
  });

  it("is refused when it holds none", () => {
    assert.deepEqual(parseTokens("f", "# none\n").problems, ["f: holds no token"]);
  });
});

describe("loopback", () => {
  const tcp = (host: string) => isLoopback({ kind: "tcp", host, port: 1 });

  it("is what only this machine can reach", () => {
    for (const host of ["127.0.0.1", "127.9.9.9", "::1", "0:0::1", "localhost", "LOCALHOST"]) {
      assert.ok(tcp(host), host);
    }
    assert.ok(tcp("::ffff:127.0.0.1"));
    assert.ok(isLoopback({ kind: "unix", path: "/s" }));
  });

  it("is nothing else", () => {
    for (const host of ["0.0.0.0", "::", "10.0.0.1", "127.example", "localhost6", "node7"]) {
      assert.ok(!tcp(host), host);
    }
  });
});

describe("connections that fit", () => {
  const limits = (soft: string) => `Max open files            ${soft}   524288   files\n`;

  it("leave descriptors for everything else", () => {
    assert.equal(connectionsThatFit(limits("1024")), 768);
    assert.equal(connectionsThatFit(limits("64")), 16);
    assert.equal(connectionsThatFit(limits("unlimited")), Number.POSITIVE_INFINITY);
  });
});

describe("a token bucket", () => {
  it("lets its burst through, then one per interval", () => {
    const bucket = new TokenBucket({ intervalMs: 100, burst: 2 }, 0);
    const times = [0, 0, 0, 99, 100, 100, 500, 500, 500];
    assert.deepEqual(
      times.map((time) => bucket.take(time)),
      [true, true, false, false, true, false, true, true, false],
    );
  });
});
