import assert from "node:assert/strict";
import { execFileSync, spawnSync } from "node:child_process";
import { readdirSync, readFileSync } from "node:fs";
import { test } from "node:test";
import { fileURLToPath } from "node:url";
import { BpfError, enableRunStats, OpenObject } from "../src/index.ts";
import { objectPath, openTestObject, packet } from "./support.ts";

const INDEX = fileURLToPath(new URL("../src/index.js", import.meta.url));

function failure(run: () => unknown): BpfError {
  try {
    run();
  } catch (error) {
    assert.ok(error instanceof BpfError, `not a BpfError: ${String(error)}`);
    return error;
  }
  throw new assert.AssertionError({ message: "it did not throw" });
}

/** Runs a script in a process of its own and returns what it wrote. */
function inChild(script: string, prefix: readonly string[] = [], env: NodeJS.ProcessEnv = {}) {
  const [command = process.execPath, ...args] = [...prefix, process.execPath];
  const code = `import * as bpf from ${JSON.stringify(INDEX)};
    const path = ${JSON.stringify(objectPath("plain"))};
    try { ${script} } catch (error) { console.log(error.name, error.code, error.message); }`;
  return spawnSync(command, [...args, "--input-type=module", "-e", code], {
    encoding: "utf8",
    env: { ...process.env, ...env },
  });
}

test("an object goes from open to loaded to closed", () => {
  const opened = openTestObject("plain");
  assert.deepEqual([...opened.programs.keys()], ["nothing"]);
  assert.equal(opened.program("nothing").section, "socket");
  const loaded = opened.load();
  assert.equal(failure(() => opened.load()).code, "EBADF");
  assert.equal(failure(() => opened.program("nothing").autoload).code, "EBADF");
  const program = loaded.program("nothing");
  assert.equal(program.testRun({ data: packet() }), 42);
  assert.equal(program.info().name, "nothing");
  loaded.close();
  loaded.close();
  assert.match(failure(() => program.fd).message, /the object is closed/);
});

test("an object that is never loaded can be closed", () => {
  const opened = openTestObject("plain");
  opened.close();
  opened.close();
  assert.equal(failure(() => opened.load()).code, "EBADF");
});

test("unknown names are answered with the known ones", () => {
  const opened = openTestObject("ring");
  assert.match(failure(() => opened.program("nope")).message, /known: emit, emit_bytes$/);
  assert.match(failure(() => opened.map("nope")).message, /known: .*ring/);
  opened.close();
});

test("a program that is not to be loaded is not", () => {
  const opened = openTestObject("ring");
  opened.program("emit").autoload = false;
  assert.equal(opened.program("emit").autoload, false);
  const loaded = opened.load();
  assert.match(failure(() => loaded.program("emit").fd).message, /autoload is off/);
  assert.ok(loaded.program("emit_bytes").fd > 0);
  loaded.close();
});

test("run statistics count exactly the runs", () => {
  const loaded = openTestObject("plain").load();
  const stats = enableRunStats();
  loaded.program("nothing").testRun({ data: packet(), repeat: 1000 });
  stats.close();
  stats.close();
  const { runCount, runTimeNs } = loaded.program("nothing").runStats();
  assert.equal(runCount, 1000n);
  assert.ok(runTimeNs > 0n);
  loaded.close();
});

test("a verifier rejection carries the end of the log and the number of lines left out", () => {
  const error = failure(() => openTestObject("rejected").load({ verifierLines: 4 }));
  assert.equal(error.code, "EACCES");
  assert.match(error.log, /\.\.\. \d+ lines of the verifier's log left out \.\.\./);
  assert.match(error.log, /invalid mem access 'map_value_or_null'/);
  const whole = failure(() => openTestObject("rejected").load({ verifierLines: 10_000 }));
  const omitted = Number(/(\d+) lines of the verifier/.exec(error.log)?.[1]);
  assert.equal(whole.log.split("\n").length - error.log.split("\n").length, omitted - 1);
});

test("nothing that libbpf says reaches stdout or stderr", () => {
  const rejected = JSON.stringify(objectPath("rejected"));
  const child = inChild(`bpf.OpenObject.openFile(${rejected}).load();`);
  assert.match(child.stdout, /^BpfError EACCES load object rejected/);
  assert.equal(child.stderr, "");
  const silent = inChild(`bpf.OpenObject.openFile(path).load().close();`);
  assert.deepEqual([silent.stdout, silent.stderr, silent.status], ["", "", 0]);
});

test("what is no object is refused with a reason", () => {
  const open = (bytes: Uint8Array) => failure(() => OpenObject.openBuffer(bytes, "garbage"));
  assert.match(open(new Uint8Array(1000)).message, /not a proper ELF object/);
  assert.equal(open(new Uint8Array(0)).operation, "open object");
  const bytes = readFileSync(objectPath("maps"));
  for (let length = 64; length < bytes.length; length += 997) open(bytes.subarray(0, length));
  assert.equal(failure(() => OpenObject.openFile("/nonexistent.o")).code, "ENOENT");
  assert.equal(failure(() => OpenObject.openFile("/")).code, "EISDIR");
});

test("an object without BTF loads, and has no variables", () => {
  const bytes = Buffer.from(readFileSync(objectPath("plain")));
  for (const section of [".BTF\0", ".BTF.ext\0"]) bytes.write(".X", bytes.indexOf(section));
  const opened = OpenObject.openBuffer(bytes, "plain");
  assert.match(failure(() => opened.setGlobal("x", 1)).message, /the object has no BTF/);
  const loaded = opened.load();
  assert.equal(loaded.program("nothing").testRun({ data: packet() }), 42);
  loaded.close();
});

test("a missing libbpf is an error that names the package", () => {
  const child = inChild("bpf.OpenObject.openFile(path);", [], { LIBBPF_SO: "libbpf.so.99" });
  assert.match(child.stdout, /^BpfError ENOENT load library libbpf.so.99: .*apt install libbpf1/);
  assert.equal(child.status, 0);
});

test("without capabilities the load fails with EPERM", () => {
  const prefix = ["setpriv", "--bounding-set=-all", "--inh-caps=-all", "--no-new-privs"];
  const child = inChild("bpf.OpenObject.openFile(path).load();", prefix);
  assert.match(child.stdout, /^BpfError EPERM load object plain: EPERM/, child.stderr);
});

test("descriptors do not leak", () => {
  const count = () => readdirSync("/proc/self/fd").length;
  openTestObject("maps").load().close();
  const before = count();
  for (let i = 0; i < 20; i++) openTestObject("maps").load().close();
  assert.equal(count(), before);
});

test("the program is known to the system by its id", () => {
  const loaded = openTestObject("plain").load();
  const shown = execFileSync("bpftool", [
    "-j",
    "prog",
    "show",
    "id",
    String(loaded.program("nothing").id),
  ]);
  assert.equal(JSON.parse(shown.toString()).name, "nothing");
  loaded.close();
});
