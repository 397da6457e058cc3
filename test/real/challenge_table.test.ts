import assert from "node:assert/strict";
import { test } from "node:test";
import { OpenObject } from "libbpf-ts";
import { readCounters } from "../../src/kernel/counters.ts";
import { objectPath } from "../../src/kernel/objects.ts";
import { challengeAck } from "../../src/probes/challenge_ack.ts";
import { Netns } from "../support/netns.ts";

test("a connection for whose outcome there is no room is counted as lost", (t) => {
  const backend = challengeAck.backends.find(({ name }) => name === "drop_tracepoint");
  assert.ok(backend);
  const opened = OpenObject.openFile(objectPath("challenge_ack"));
  for (const [name, program] of opened.programs) program.autoload = backend.programs.includes(name);
  opened.map("challenged").setMaxEntries(1);
  const object = opened.load();
  t.after(() => object.close());
  for (const name of backend.programs) object.program(name).attach();
  const netns = new Netns();
  t.after(() => netns.delete());
  netns.fault("challenge.py", "tcp_invalid_ratelimit=0", "syn", "syn");
  // Two challenges, one outcome: both connections are closed with the process that made them.
  const { attempted, emitted, lost, filtered } = readCounters(object.map("counters"));
  assert.deepEqual(
    { attempted, emitted, lost, filtered },
    {
      attempted: 4,
      emitted: 3,
      lost: 1,
      filtered: 0,
    },
  );
  assert.equal(object.getGlobal("challenged_count"), 0n);
});
