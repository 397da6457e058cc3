import assert from "node:assert/strict";
import { connect } from "node:net";
import { before, describe, it } from "node:test";
import { accessOf, startServer, suiteScope, type TestServer } from "../support/server.ts";

/** The whole answer to a request with exactly these header lines. */
function ask(port: number, lines: readonly string[], version = "1.1"): Promise<string> {
  return new Promise((resolve, reject) => {
    const socket = connect({ port, host: "127.0.0.1" });
    let text = "";
    socket.on("data", (chunk) => {
      text += chunk;
    });
    socket.on("error", reject).on("close", () => resolve(text));
    const head = [`GET /healthz HTTP/${version}`, ...lines, "Connection: close"];
    socket.write(`${head.join("\r\n")}\r\n\r\n`);
  });
}

describe("the Host header", () => {
  const scope = suiteScope();
  let server: TestServer;
  before(async () => {
    server = await startServer(scope);
  });
  const code = (answer: string) => /"code":"(\w+)"/.exec(answer)?.[1];

  const good = ["localhost", "LocalHost:1", "127.0.0.1", "[::1]", "[0:0:0:0:0:0:0:1]:5961"];
  for (const host of good) {
    it(`may be ${host}`, async () => {
      assert.match(await ask(server.port, [`Host: ${host}`]), /^HTTP\/1.1 200 /);
    });
  }

  const forbidden = [
    "localhost6",
    "localhost.",
    "evil.example",
    "127.0.0.1.evil.example",
    "0177.0.0.1",
    "0x7f.0.0.1",
    "2130706433",
    "127.1",
    "0.0.0.0",
    "0",
    "127.0.0.2",
    "[::]",
    "169.254.169.254",
  ];
  for (const host of forbidden) {
    it(`may not be ${host}`, async () => {
      for (const port of ["", `:${server.port}`]) {
        const answer = await ask(server.port, [`Host: ${host}${port}`]);
        assert.match(answer, /^HTTP\/1.1 403 /);
        assert.equal(code(answer), "host_not_allowed");
      }
    });
  }

  const malformed: [string, string[]][] = [
    ["absent", []],
    ["empty", ["Host:"]],
    ["given twice", ["Host: localhost", "Host: localhost"]],
    ["given twice, apart", ["Host: localhost", "X: y", "hOST: evil.example"]],
    ["with a user", ["Host: localhost@evil.example"]],
    ["with a user before it", ["Host: evil.example@localhost"]],
    ["a list", ["Host: localhost, evil.example"]],
    ["an address without brackets", ["Host: ::1"]],
    ["a name in brackets", ["Host: [localhost]"]],
    ["with a wrong port", ["Host: localhost:http"]],
    ["with a path", ["Host: localhost/x"]],
  ];
  for (const [what, lines] of malformed) {
    it(`may not be ${what}`, async () => {
      for (const version of ["1.0", "1.1"]) {
        const answer = await ask(server.port, lines, version);
        assert.match(answer, /^HTTP\/1.1 400 /);
        assert.equal(code(answer), "bad_host");
      }
    });
  }

  it("may be what --allowed-hosts lists, beside the daemon's own names", async (t) => {
    const access = accessOf({ allowedHosts: ["node7.example", "2001:db8::7"] });
    const { port } = await startServer(t, undefined, { access });
    for (const host of ["node7.example", "NODE7.example:80", "[2001:db8:0::7]", "localhost"]) {
      assert.match(await ask(port, [`Host: ${host}`]), /^HTTP\/1.1 200 /, host);
    }
    assert.match(await ask(port, ["Host: node8.example"]), /^HTTP\/1.1 403 /);
  });

  it("may be anything with --allowed-hosts any, but once", async (t) => {
    const { port } = await startServer(t, undefined, { access: accessOf({ allowedHosts: "any" }) });
    assert.match(await ask(port, ["Host: node8.example"]), /^HTTP\/1.1 200 /);
    assert.match(await ask(port, ["Host: a", "Host: a"]), /^HTTP\/1.1 400 /);
  });

  it("is nothing that grants other sites anything", async () => {
    const answer = await ask(server.port, ["Host: localhost", "Origin: http://evil.example"]);
    assert.doesNotMatch(answer, /^access-control-/im);
    assert.match(answer, /^x-content-type-options: nosniff\r$/im);
  });
});
