import assert from "node:assert/strict";
import { copyFileSync, mkdtempSync, readFileSync, rmSync, writeFileSync } from "node:fs";
import { tmpdir } from "node:os";
import { join } from "node:path";
import { after, before, describe, it } from "node:test";
import { connect } from "node:tls";
import { type Certificate, makeAuthority, makeCertificate } from "../support/certificates.ts";
import {
  curl,
  type DaemonProcess,
  start,
  startDaemonProcess,
  stopDaemon,
  tuplewatch,
} from "../support/commands.ts";
import { until } from "../support/until.ts";

/** From Prometheus' guide to basic authentication: bcrypt of "test" by Python's bcrypt. */
const HASH_OF_TEST = "$2b$12$hNf2lSsxfm0.i4a.1kVpSOVyBCfIB51VRjgBUyv6kdnyTlgWj81Ay";
const TOKEN = "dGhpcy1pcy1hLXRva2Vu";

const directory = mkdtempSync(join(tmpdir(), "tuplewatch-access-"));
const file = (name: string, text: string): string => {
  const path = join(directory, name);
  writeFileSync(path, text);
  return path;
};
const authority = makeAuthority(directory, "authority");
const server = makeCertificate(directory, "server", authority, "IP:127.0.0.1,DNS:localhost");
after(() => rmSync(directory, { recursive: true }));

function documentedExample(): string {
  const page = readFileSync("docs/operations.md", "utf8");
  return /<!-- web-config -->\n```yaml\n([\s\S]*?)```/.exec(page)?.[1] ?? "";
}

const startWith = (...args: string[]): Promise<DaemonProcess> =>
  startDaemonProcess(["--backend", "counters", ...args]);

async function stop(daemon: DaemonProcess): Promise<void> {
  await stopDaemon(daemon);
}

async function get(url: string, ...args: string[]) {
  const done = await curl("--cacert", authority.cert, "--include", ...args, url).done;
  const [head = "", body = ""] = done.stdout.split("\r\n\r\n");
  return { exit: done.code, status: Number(head.split(" ")[1]), head, body };
}

describe("a daemon with TLS, passwords and tokens", () => {
  let daemon: DaemonProcess;
  const tokens = file("tokens", `# for scripts\n${TOKEN}\n`);
  const webConfig = file("web.yaml", documentedExample());
  before(async () => {
    daemon = await startWith("--web-config", webConfig, "--bearer-token-file", tokens);
  });
  after(() => stop(daemon));

  it("takes the documented example, which promtool accepts", async () => {
    const { code, stdout, stderr } = await start("promtool", ["check", "web-config", webConfig])
      .done;
    assert.equal(code, 0, stdout + stderr);
  });

  it("says https and answers nothing else there", async () => {
    assert.match(daemon.url, /^https:\/\/127\.0\.0\.1:\d+$/);
    assert.equal((await get(daemon.url.replace("https", "http"))).exit, 52); // empty reply
  });

  it("asks for credentials on every path, and tells which", async () => {
    for (const path of ["/metrics", "/events", "/healthz", "/nope", "/events?x=y"]) {
      const { status, head, body } = await get(daemon.url + path);
      assert.equal(status, 401);
      assert.match(head, /^www-authenticate: Basic realm="tuplewatch".*, Bearer realm=/im);
      assert.match(head, /^x-frame-options: deny\r$/im);
      assert.equal(JSON.parse(body).error.code, "unauthorized");
    }
  });

  const wrong: [string, string[]][] = [
    ["a wrong password", ["--user", "prometheus:tset"]],
    ["an empty password", ["--user", "prometheus:"]],
    ["an unknown user", ["--user", "nobody:test"]],
    ["no colon", ["--header", `Authorization: Basic ${btoa("prometheus")}`]],
    ["no base64", ["--header", "Authorization: Basic !"]],
    ["a wrong token", ["--header", `Authorization: Bearer ${TOKEN}x`]],
    ["a token as a password", ["--user", `prometheus:${TOKEN}`]],
    ["another scheme", ["--header", `Authorization: Digest ${TOKEN}`]],
  ];
  for (const [what, args] of wrong) {
    it(`refuses ${what}`, async () => {
      assert.equal((await get(`${daemon.url}/metrics`, ...args)).status, 401);
    });
  }

  it("answers those who know a password or a token", async () => {
    const bearer = ["--header", `Authorization: Bearer ${TOKEN}`];
    for (const args of [["--user", "prometheus:test"], bearer]) {
      const { status, head, body } = await get(`${daemon.url}/metrics`, ...args);
      assert.equal(status, 200);
      assert.match(head, /^x-content-type-options: nosniff\r$/im);
      assert.match(body, /^tuplewatch_build_info/m);
      const stream = await get(`${daemon.url}/events?follow=false`, ...args);
      assert.equal(stream.status, 200);
      assert.match(stream.head, /^x-frame-options: deny\r$/im);
    }
  });

  it("answers the commands", async () => {
    const target = ["--url", daemon.url, "--ca-file", authority.cert];
    const { code, stdout } = await tuplewatch(["status", ...target, "--token-file", tokens]).done;
    assert.equal(code, 0, stdout);
    const refused = await tuplewatch(["status", ...target]).done;
    assert.equal(refused.code, 1);
    assert.match(refused.stderr, /credentials are needed/);
  });

  it("speaks no TLS older than 1.2", async () => {
    const { exit } = await get(daemon.url, "--tls-max", "1.1", "--ciphers", "ALL:@SECLEVEL=0");
    assert.equal(exit, 35);
    const args = ["--tls-max", "1.2", "--user", "prometheus:test"];
    assert.equal((await get(`${daemon.url}/healthz`, ...args)).status, 200);
  });

  it("takes a renewed certificate, keeps the old one meanwhile, and never stops", async () => {
    const before = await serialOf(daemon.url);
    copyFileSync(server.key, join(directory, "good.key"));
    const next = makeCertificate(directory, "next", authority, "IP:127.0.0.1");
    copyFileSync(next.key, server.key);
    await until(() => daemon.stderr().includes("access rules stay as they were"), "complaint");
    assert.match(daemon.stderr(), /tls_server_config: cert, key cannot be used: .*mismatch/);
    assert.equal(await serialOf(daemon.url), before);
    copyFileSync(next.cert, server.cert);
    await until(async () => (await serialOf(daemon.url)) !== before, "new certificate");
    assert.equal((await get(`${daemon.url}/healthz`, "--user", "prometheus:test")).status, 200);
  });

  it("takes a changed token", async () => {
    file("tokens", "sha256:6ca13d52ca70c883e0f0bb101e425a89e8624de51db2d2392593af6a84118090\n");
    const status = async (token: string) =>
      (await get(`${daemon.url}/healthz`, "--header", `Authorization: Bearer ${token}`)).status;
    // 6ca13d52... is the SHA-256 of "abc123", for which a token file would be too short.
    await until(async () => (await status("abc123")) === 200, "new token");
    assert.equal(await status(TOKEN), 401);
  });

  it("never logs a secret", () => {
    for (const secret of [HASH_OF_TEST, TOKEN, "tset", readFileSync(server.key, "utf8")]) {
      assert.ok(!daemon.stderr().includes(secret));
    }
  });
});

/** Of the certificate that the server shows. */
function serialOf(url: string): Promise<string> {
  const options = { host: "127.0.0.1", port: Number(new URL(url).port), rejectUnauthorized: false };
  return new Promise((resolve, reject) => {
    const socket = connect(options, () => {
      resolve(socket.getPeerCertificate().serialNumber);
      socket.destroy();
    });
    socket.on("error", reject);
  });
}

describe("a daemon that asks for client certificates", () => {
  let daemon: DaemonProcess;
  const cert = makeCertificate(directory, "mutual", authority, "IP:127.0.0.1");
  const friend = makeCertificate(directory, "friend", authority, "DNS:prometheus.example");
  const stranger = makeCertificate(
    directory,
    "stranger",
    authority,
    "DNS:other.example,otherName:1.2.3.4;UTF8:DNS\\:prometheus.example",
  );
  const elsewhere = makeAuthority(directory, "elsewhere");
  const foreign = makeCertificate(directory, "foreign", elsewhere, "DNS:prometheus.example");
  const webConfig = file(
    "mutual.yaml",
    `tls_server_config:
  cert_file: ${cert.cert}
  key_file: ${cert.key}
  client_auth_type: RequireAndVerifyClientCert
  client_ca_file: authority.crt
  client_allowed_sans: [prometheus.example]
`,
  );
  const as = ({ cert, key }: Certificate) => ["--cert", cert, "--key", key];
  before(async () => {
    // On all addresses: a verified certificate is authentication enough.
    daemon = await startWith("--web-config", webConfig, "--listen", "0.0.0.0:0");
  });
  after(() => stop(daemon));

  it("answers those who have one", async () => {
    assert.equal((await get(`${daemon.url}/metrics`, ...as(friend))).status, 200);
  });

  it("refuses those who have none, or one of another authority", async () => {
    for (const args of [[], as(foreign)]) {
      const { exit, status } = await get(`${daemon.url}/metrics`, ...args);
      assert.ok(exit !== 0 && Number.isNaN(status), `curl ${exit}, status ${status}`);
    }
  });

  it("refuses those whose certificate has another name", async () => {
    const { status, body } = await get(`${daemon.url}/metrics`, ...as(stranger));
    assert.equal(status, 403);
    assert.equal(JSON.parse(body).error.code, "client_certificate");
  });
});

describe("a daemon on other addresses", () => {
  it("does not start without authentication", async () => {
    for (const listen of ["0.0.0.0:0", "[::]:0", "192.0.2.1:0", "node7:0"]) {
      const { code, stderr } = await tuplewatch(["run", "--listen", listen]).done;
      assert.equal(code, 2);
      assert.match(stderr, /^tuplewatch: cannot serve on .* without authentication: give --web-c/);
    }
  });

  it("starts without if that is allowed, and warns", async () => {
    const daemon = await startWith("--listen", "0.0.0.0:0", "--allow-unauthenticated", "on");
    assert.match(daemon.stderr(), /"level":"warn".*everybody who can reach 0\.0\.0\.0:0 can read/);
    assert.equal((await get(`${daemon.url}/healthz`, "--header", "Host: node7")).status, 200);
    await stop(daemon);
  });

  it("warns if secrets travel in the clear", async () => {
    const tokens = file("other-tokens", TOKEN);
    const daemon = await startWith("--listen", "0.0.0.0:0", "--bearer-token-file", tokens);
    assert.match(daemon.stderr(), /"level":"warn".*travel to 0\.0\.0\.0:0 without TLS/);
    await stop(daemon);
  });
});

/** Hands over a socket as a service manager does (sd_listen_fds(3)), and becomes the command. */
const HAND_OVER = `
import os, socket, sys
listener = socket.socket()
listener.bind((sys.argv[1], 0))
listener.listen()
os.dup2(listener.fileno(), 3)
os.set_inheritable(3, True)
os.environ.update(LISTEN_PID=str(os.getpid()), LISTEN_FDS="1")
os.execvp(sys.argv[2], sys.argv[2:])
`;

describe("a daemon that is handed a socket", () => {
  const startOn = (address: string, ...args: string[]) => {
    const wrapper = ["python3", "-c", HAND_OVER, address];
    const all = ["--backend", "counters", "--listen", "systemd", ...args];
    return startDaemonProcess(all, { wrapper });
  };

  it("knows its address and goes by it", async () => {
    const daemon = await startOn("127.0.0.1");
    assert.equal((await get(`${daemon.url}/healthz`)).status, 200);
    assert.equal((await get(`${daemon.url}/healthz`, "--header", "Host: evil")).status, 403);
    await stop(daemon);
  });

  it("ends if others can reach it without authentication", async () => {
    await assert.rejects(startOn("0.0.0.0"), /cannot serve on 0\.0\.0\.0:\d+ without authentica/);
    const daemon = await startOn("0.0.0.0", "--allow-unauthenticated", "on");
    assert.match(daemon.stderr(), /everybody who can reach 0\.0\.0\.0:\d+ can read everything/);
    await stop(daemon);
  });
});

describe("wrong files", () => {
  it("are told all at once, with their places and nothing of their text", async () => {
    const webConfig = file(
      "wrong.yaml",
      "basic_auth_users:\n  alice: hunter2\ntls_server_config:\n  cert_file: hunter3.crt\n" +
        `  key_file: ${server.key}\n`,
    );
    const tokens = file("wrong-tokens", "hunter2\n");
    const args = ["run", "--web-config", webConfig, "--bearer-token-file", tokens];
    const { code, stderr } = await tuplewatch(args).done;
    assert.equal(code, 2);
    assert.match(stderr, /wrong\.yaml:2:3: expected a bcrypt hash/);
    assert.match(
      stderr,
      /wrong\.yaml: tls_server_config: cert_file: cannot read the file: no such/,
    );
    assert.match(stderr, /wrong-tokens:1: expected a token of 16 or more/);
    assert.doesNotMatch(stderr, /hunter|alice|server\.key/);
  });

  it("have nothing of their text in the log either, when they are read again", async () => {
    const webConfig = file("changing.yaml", documentedExample());
    const tokens = file("changing-tokens", TOKEN);
    const daemon = await startWith("--web-config", webConfig, "--bearer-token-file", tokens);
    const complaints = () => daemon.stderr().match(/access rules stay as they were/g)?.length ?? 0;
    const broken = [
      "basic_auth_users:\n  alice: $2b$12$hunter2: hunter2\n",
      'basic_auth_users: { alice: "hunter2\n',
      "hunter2: {hunter2: hunter2}\n",
      "tls_server_config:\n  key: hunter2\n  cert: hunter2\n",
      "tls_server_config:\n  key_file: hunter2\n  cert_file: hunter2\n",
    ];
    for (const [index, text] of broken.entries()) {
      file("changing.yaml", text);
      await until(() => complaints() === index + 1, text);
    }
    file("changing-tokens", "hunter2 hunter2\n");
    await until(() => complaints() === broken.length + 1, "tokens");
    assert.match(daemon.stderr(), /changing\.yaml:2:\d+: not valid YAML/);
    assert.doesNotMatch(daemon.stderr(), /hunter|alice/);
    await stop(daemon);
  });
});
