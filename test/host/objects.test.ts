import assert from "node:assert/strict";
import { execFileSync } from "node:child_process";
import { cpSync, mkdtempSync, rmSync, writeFileSync } from "node:fs";
import { tmpdir } from "node:os";
import { join } from "node:path";
import { afterEach, beforeEach, describe, test } from "node:test";
import type { ReadyBody } from "../../src/http/openapi/answers.schema.ts";
import { getStatus } from "../support/api.ts";
import { startDaemonProcess, stopDaemon } from "../support/commands.ts";
import { type Attempts, tally } from "../support/connects.ts";
import { eventsOf, metric } from "../support/feed.ts";
import { Netns } from "../support/netns.ts";

const BUILT = "build/bpf";

/** One of them is taken, whichever the kernel loads. */
const CONNECT = ["connect.bpf.o", "connect_in_table.bpf.o"];

describe("an object that does not fit", () => {
  let directory: string;

  beforeEach(() => {
    directory = mkdtempSync(join(tmpdir(), "tw-objects-"));
    cpSync(BUILT, directory, { recursive: true });
  });
  afterEach(() => rmSync(directory, { recursive: true }));

  /** Why connect is not attached; the others must be, where no kernel lacks all their backends. */
  async function reasons(): Promise<readonly string[]> {
    const daemon = await startDaemonProcess(["--bpf-dir", directory]);
    try {
      const { kernel } = await getStatus(daemon.url);
      const connect = (kernel?.probes ?? []).find(({ probe }) => probe === "connect");
      assert.equal(connect?.backend, null);
      const others = (kernel?.probes ?? []).filter(({ probe }) =>
        /^(challenge_ack|conntrack)/.test(probe),
      );
      assert.ok(others.every(({ backend }) => backend !== null));
      const ready = await fetch(`${daemon.url}/readyz`);
      assert.equal(ready.status, 200);
      const { blind } = (await ready.json()) as ReadyBody;
      const told = blind?.find(({ probe }) => probe === "connect");
      assert.equal(told?.cause, "not_attached");
      for (const { reason } of connect.passed_over) assert.ok(told?.reason.includes(reason));
      return connect.passed_over.map(({ reason }) => reason);
    } finally {
      await stopDaemon(daemon);
    }
  }

  /** Builds the objects of connect anew from sources changed by a sed script. */
  function rebuild(header: string, sed: string): void {
    const source = join(directory, "source");
    cpSync("bpf", source, { recursive: true });
    execFileSync("sed", ["-i", sed, join(source, "include", header)]);
    for (const object of CONNECT) {
      rmSync(join(directory, object));
      execFileSync("make", ["-s", "-C", source, "OUT=..", `../${object}`], { stdio: "pipe" });
    }
  }

  test("because its events have another layout is named with the first field that differs", async () => {
    rebuild("events.h", "s/__u64 duration_ns;/__u64 added; &/");
    for (const reason of await reasons()) {
      assert.match(
        reason,
        /check layout of .*connect\w*\.bpf\.o: EBADMSG: connect_event\.duration_ns: name added/,
      );
    }
  });

  test("because it has no BTF", async () => {
    for (const object of CONNECT) {
      execFileSync("llvm-objcopy", ["--remove-section=.BTF", join(directory, object)]);
    }
    for (const reason of await reasons()) assert.match(reason, /connect.*BTF/);
  });

  test("because it is no object at all", async () => {
    for (const object of CONNECT) writeFileSync(join(directory, object), "not an ELF file");
    for (const reason of await reasons())
      assert.match(reason, /open object connect\w*: .*not a proper ELF object/);
  });

  test("emits records of a wrong size: they are dropped and counted, the others are not", async () => {
    rebuild("emit.h", 's/count(emitted);/& bpf_ringbuf_output(\\&events, "garbage", 5, 0);/');
    const daemon = await startDaemonProcess(["--bpf-dir", directory]);
    const netns = new Netns();
    try {
      const { pid } = netns.fault<Attempts>("connects.py", "refused", "23");
      const events = await eventsOf(daemon.url, 23, { type: "connect", pid: String(pid) });
      assert.deepEqual(tally(events, "result"), { ECONNREFUSED: 23 });
      const dropped = await metric(daemon.url, "tuplewatch_events_dropped_total");
      assert.ok((dropped.get('{probe="connect",stage="decode"}') ?? 0) >= 23);
    } finally {
      netns.delete();
      await stopDaemon(daemon);
    }
  });

  test("because it is not there", async () => {
    for (const object of CONNECT) rmSync(join(directory, object));
    for (const reason of await reasons()) assert.match(reason, /connect\w*\.bpf\.o: ENOENT/);
  });
});
