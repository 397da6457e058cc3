import assert from "node:assert/strict";
import { mkdtempSync, rmSync, writeFileSync } from "node:fs";
import { tmpdir } from "node:os";
import { dirname, join } from "node:path";
import { describe, it } from "node:test";
import { findSymbol, readSymbols } from "../../src/attach/symbols.ts";
import { formatAddress, formatLocal, resultName } from "../../src/events/fields.ts";
import { formatTime } from "../../src/kernel/clock.ts";
import { parseProcStats } from "../../src/kernel/conntrack-stats.ts";
import { parseNetstat } from "../../src/kernel/netstat.ts";
import { isUnified, parseProcCgroup } from "../../src/names/cgroups.ts";
import { LruMap } from "../../src/util/lru.ts";

describe("parseNetstat", () => {
  it("finds the counters by name, whatever their order", () => {
    const text =
      "TcpExt: A TCPSYNChallenge B TCPChallengeACK\nTcpExt: 1 22 3 44\nIpExt: A\nIpExt: 5\n";
    assert.deepEqual(
      [...parseNetstat(text)],
      [
        ["TCPChallengeACK", 44],
        ["TCPSYNChallenge", 22],
      ],
    );
  });

  it("finds nothing in nothing", () => {
    assert.equal(parseNetstat("").size, 0);
    assert.equal(parseNetstat("TcpExt: TCPChallengeACK\nTcpExt: -\n").size, 0);
  });
});

describe("parseProcStats", () => {
  it("sums the hexadecimal columns of all CPUs, and takes absent ones for 0", () => {
    const stats = parseProcStats(
      "entries  found insert_failed drop\n0000000a  00000001 000000ff 00000002\n0000000a  00000002 00000001 00000003\n",
    );
    assert.equal(stats.found, 3);
    assert.equal(stats.insert_failed, 256);
    assert.equal(stats.drop, 5);
    assert.equal(stats.chain_toolong, 0);
  });

  it("knows the file's own names of counters", () => {
    const names = "entries  clashres found icmp_error chaintoolong";
    const stats = parseProcStats(`${names}\n0000000a  00000003 00000001 00000004 00000005\n`);
    assert.deepEqual([stats.clash_resolve, stats.error, stats.chain_toolong], [3, 4, 5]);
  });
});

it("only version 2 is the unified hierarchy", () => {
  assert.ok(isUnified("0::/\n"));
  assert.ok(isUnified("0::/a.slice/b.service\n"));
  for (const text of ["", "1:name=systemd:/\n0::/\n", "0::/\n1:cpu:/\n", "4:memory:/a\n"]) {
    assert.ok(!isUnified(text), text);
  }
});

describe("parseProcCgroup", () => {
  it("prefers the v2 hierarchy, then systemd's, then the longest", () => {
    assert.equal(parseProcCgroup("0::/a.slice/b.service\n"), "/a.slice/b.service");
    assert.equal(parseProcCgroup("4:memory:/long/path\n1:name=systemd:/s\n0::/\n"), "/s");
    assert.equal(parseProcCgroup("4:memory:/long/path\n2:cpu,cpuacct:/\n0::/\n"), "/long/path");
    assert.equal(parseProcCgroup("0::/\n"), "/");
    assert.equal(parseProcCgroup("nonsense"), undefined);
  });
});

describe("findSymbol", () => {
  const kallsyms = [
    "ffffffff81000000 t tcp_send_challenge_ack.constprop.0",
    "ffffffff81000010 t other.part.0",
    "ffffffffc0000000 t nf_ct_resolve_clash\t[nf_conntrack]",
    "ffffffff81000020 T early",
    "ffffffff81000030 D early_drop",
  ].join("\n");

  it("is given all it needs by readSymbols, wherever a piece of the file ends", () => {
    const path = join(mkdtempSync(join(tmpdir(), "tw-kallsyms-")), "kallsyms");
    const filler = `ffffffff81000040 t filler_of_the_same_length_again_and_again\n`;
    writeFileSync(
      path,
      `${filler.repeat(9000)}${kallsyms}\n${filler.repeat(3)}ffffffff81000050 t last`,
    );
    const symbols = readSymbols(["nf_ct_resolve_clash", "tcp_send_challenge_ack", "last"], path);
    assert.deepEqual(symbols.split("\n").length, 3);
    assert.equal(findSymbol("nf_ct_resolve_clash", symbols), "nf_ct_resolve_clash");
    assert.equal(findSymbol("last", symbols), "last");
    assert.equal(readSymbols([], path), "");
    rmSync(dirname(path), { recursive: true });
  });

  it("finds a specialised copy and a module's function", () => {
    const name = "tcp_send_challenge_ack";
    assert.equal(findSymbol(name, kallsyms), `${name}.constprop.0`);
    assert.equal(findSymbol("nf_ct_resolve_clash", kallsyms), "nf_ct_resolve_clash");
  });

  it("takes neither a part, nor data, nor a longer name for the function", () => {
    assert.equal(findSymbol("other", kallsyms), undefined);
    assert.equal(findSymbol("early_drop", kallsyms), undefined);
    assert.equal(findSymbol("earl", kallsyms), undefined);
  });
});

describe("fields of events", () => {
  const address = (...bytes: number[]) => Uint8Array.from(bytes);
  const mapped = address(0, 0, 0, 0, 0, 0, 0, 0, 0, 0, 255, 255, 10, 0, 0, 7);
  const v6 = address(0x20, 1, 0xd, 0xb8, 0, 0, 0, 0, 0, 0, 0, 0, 0, 0, 0, 1);

  it("show mapped addresses as IPv4 and others as RFC 5952 has them", () => {
    assert.equal(formatAddress(mapped), "10.0.0.7");
    assert.equal(formatAddress(v6), "2001:db8::1");
    assert.equal(formatAddress(new Uint8Array(16)), "::");
  });

  it("leave out a local side that was not chosen", () => {
    assert.deepEqual(formatLocal({ address: mapped, port: 80 }), { address: "10.0.0.7", port: 80 });
    assert.deepEqual(formatLocal({ address: mapped, port: 0 }), { address: "10.0.0.7" });
    assert.equal(formatLocal({ address: new Uint8Array(16), port: 0 }), undefined);
  });

  it("name errno as connect(2) does", () => {
    const names = [0, 1, 11, 98, 99, 101, 110, 111, 113, -1, 4095].map(resultName);
    assert.deepEqual(names, [
      "ok",
      "EPERM",
      "EAGAIN",
      "EADDRINUSE",
      "EADDRNOTAVAIL",
      "ENETUNREACH",
      "ETIMEDOUT",
      "ECONNREFUSED",
      "EHOSTUNREACH",
      "unknown",
      "errno_4095",
    ]);
  });

  it("give times in nanoseconds", () => {
    assert.equal(formatTime(1_700_000_000_000_000_001n), "2023-11-14T22:13:20.000000001Z");
  });
});

describe("LruMap", () => {
  it("forgets what was not asked for longest", () => {
    const map = new LruMap<string, number>(2);
    map.set("a", 1);
    map.set("b", 2);
    assert.equal(map.get("a"), 1);
    map.set("c", 3);
    assert.equal(map.get("b"), undefined);
    assert.equal(map.get("a"), 1);
    assert.equal(map.size, 2);
  });
});
