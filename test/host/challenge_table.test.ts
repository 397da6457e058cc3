import assert from "node:assert/strict";
import { execFileSync } from "node:child_process";
import { type TestContext, test } from "node:test";
import { setTimeout as sleep } from "node:timers/promises";
import { type LoadedObject, OpenObject } from "libbpf-ts";
import { readCounters } from "../../src/attach/counters.ts";
import { objectPath } from "../../src/attach/objects.ts";
import { expiryNames } from "../../src/events/events.gen.ts";
import { enumValue } from "../../src/events/fields.ts";
import { challengeAck } from "../../src/probes/challenge_ack.ts";
import { FAULTS, Netns } from "../support/netns.ts";
import { until } from "../support/until.ts";

const SURVIVAL_MS = 10_000;

const PER_RUN = enumValue(expiryNames, "per_run");

/** The programs of the drop tracepoint, attached, with tables of other sizes. */
function attach(t: TestContext, tables: Readonly<Record<string, number>>): LoadedObject {
  const backend = challengeAck.backends.find(({ name }) => name === "drop_tracepoint");
  assert.ok(backend);
  const opened = OpenObject.openFile(objectPath("challenge_ack"));
  const { programs } = backend;
  const loaded = [...programs, ...(backend.calledPrograms ?? [])];
  for (const [name, program] of opened.programs) program.autoload = loaded.includes(name);
  for (const [name, entries] of Object.entries(tables)) opened.map(name).setMaxEntries(entries);
  const object = opened.load();
  t.after(() => object.close());
  for (const name of programs) object.program(name).attach();
  return object;
}

function namespace(t: TestContext): Netns {
  const netns = new Netns();
  t.after(() => netns.delete());
  return netns;
}

/** Challenges as many connections, and keeps them for a minute or until it is called. */
async function challenge(t: TestContext, object: LoadedObject, connections: number) {
  const steps = Array.from({ length: connections }, () => "syn");
  const { child, done } = namespace(t).spawn(
    "python3",
    `${FAULTS}challenge.py`,
    ...steps,
    "hold=60",
  );
  const end = async () => {
    child.kill("SIGTERM");
    await done;
  };
  t.after(end);
  await until(() => told(object).emitted === connections, "all challenges", 60_000);
  return end;
}

function told(object: LoadedObject): { attempted: number; emitted: number; lost: number } {
  const { attempted, emitted, lost, filtered } = readCounters(object.map("counters"));
  assert.equal(filtered, 0);
  return { attempted, emitted, lost };
}

test("a connection for whose outcome there is no room is counted as lost", (t) => {
  const object = attach(t, { challenged: 1 });
  namespace(t).fault("challenge.py", "tcp_invalid_ratelimit=0", "syn", "syn");
  // Two challenges, one outcome: both connections are closed with the process that made them.
  assert.deepEqual(told(object), { attempted: 4, emitted: 3, lost: 1 });
  const { id } = object.map("challenged").info;
  const dumped = execFileSync("bpftool", ["--json", "map", "dump", "id", String(id)]);
  assert.deepEqual(JSON.parse(dumped.toString()), []);
});

test("more survivors than one run may tell take another run", async (t) => {
  const object = attach(t, {});
  const connections = PER_RUN + 2;
  const end = await challenge(t, object, connections);
  await sleep(SURVIVAL_MS);
  const expire = object.program("expire");
  assert.deepEqual([expire.testRun(), told(object).emitted], [1, connections + PER_RUN]);
  assert.deepEqual([expire.testRun(), told(object).emitted], [0, 2 * connections]);
  await end();
  assert.deepEqual(told(object), { attempted: 2 * connections, emitted: 2 * connections, lost: 0 });
});

test("an outcome that finds no place in the queue is told at the connection's end", async (t) => {
  const object = attach(t, { waiting: 1 });
  const end = await challenge(t, object, 2);
  await sleep(SURVIVAL_MS);
  const expire = object.program("expire");
  assert.deepEqual([expire.testRun(), told(object).emitted], [0, 3]);
  await end();
  assert.deepEqual(told(object), { attempted: 4, emitted: 4, lost: 0 });
});
