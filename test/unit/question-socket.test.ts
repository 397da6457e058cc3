import assert from "node:assert/strict";
import { after, describe, it } from "node:test";
import { setImmediate as turn } from "node:timers/promises";
import { encodeQuestion, QUESTION_BYTES, type Question } from "../../src/channel/questions.ts";
import { type Asked, QuestionSockets } from "../support/channel.ts";
import { until } from "../support/until.ts";

const sockets = new QuestionSockets();
after(() => sockets.close());

const MIB = 1 << 20;
const asking = (id: number, kind: Question["kind"] = "state") => encodeQuestion({ kind, id });

function ask({ asker }: Asked, first: number, count: number): void {
  asker.write(Buffer.concat(Array.from({ length: count }, (_, index) => asking(first + index))));
}

async function askAll(pair: Asked, ...records: readonly Uint8Array[]): Promise<void> {
  pair.asker.end(Buffer.concat(records));
  await pair.ended;
}

describe("who answers questions", () => {
  it("answers each by its number: at once, later, or with the reason why not", async () => {
    const pair = await sockets.open(({ id }) => {
      if (id === 2) throw new Error("no");
      return id === 3 ? Promise.reject(new Error("not now")) : Promise.resolve({ id });
    });
    await askAll(pair, asking(1), asking(2), asking(3));
    const byId = new Map(pair.frames.map(({ id, body }) => [id, body]));
    assert.deepEqual(byId.get(1), { answer: { id: 1 } });
    assert.deepEqual(byId.get(2), { error: "no" });
    assert.deepEqual(byId.get(3), { error: "not now" });
    assert.equal(pair.frames.length, 3);
    assert.deepEqual(pair.broken, []);
  });

  it("breaks once with who asks what nobody may, and answers nothing after it", async () => {
    const pair = await sockets.open(() => "answer");
    const garbage = new Uint8Array(QUESTION_BYTES).fill(255);
    await askAll(pair, asking(1), garbage, asking(2), garbage, asking(3));
    assert.deepEqual(pair.broken, ["it asks what nobody may: there is no kind 4294967295"]);
    assert.deepEqual(
      pair.questions.map(({ id }) => id),
      [1],
    );
  });

  it("breaks with who has more than 64 questions open", async () => {
    const answers: ((answer: string) => void)[] = [];
    const pair = await sockets.open(() => new Promise((resolve) => answers.push(resolve)));
    ask(pair, 1, 64);
    await until(() => answers.length === 64, "64 questions");
    assert.deepEqual(pair.broken, []);
    answers[0]?.("first");
    await until(() => pair.frames.length === 1, "an answer");
    ask(pair, 65, 1);
    await until(() => answers.length === 65, "one more");
    ask(pair, 66, 1000);
    await until(() => pair.broken.length > 0, "the end");
    for (const answer of answers) answer("too late");
    await turn();
    await askAll(pair);
    assert.deepEqual(pair.broken, ["it asks what nobody may: too many open questions"]);
    assert.equal(pair.questions.length, 65);
    assert.equal(pair.frames.length, 1);
  });

  it("breaks with who asks more than 10,000 times a second", async () => {
    const pair = await sockets.open(() => undefined);
    const second = Buffer.concat(Array.from({ length: 10_000 }, (_, id) => asking(id, "alive")));
    await askAll(pair, second);
    assert.deepEqual(pair.broken, []);
    const faster = await sockets.open(() => undefined);
    const startedMs = performance.now();
    for (let round = 0; round < 12; round++) faster.asker.write(second);
    await askAll(faster);
    const tookMs = performance.now() - startedMs;
    assert.ok(tookMs < 10_000, `too slow to tell: ${tookMs} ms`);
    assert.deepEqual(faster.broken, [
      "it asks what nobody may: more than 10000 questions a second",
    ]);
    assert.ok(faster.questions.length <= 10_001 + 10 * tookMs);
  });

  it("breaks with who takes no answers, and keeps no more of them", async () => {
    const pair = await sockets.open(() => Buffer.alloc(8 * MIB));
    pair.asker.pause();
    ask(pair, 1, 60);
    await until(() => pair.broken.length > 0, "the end");
    assert.deepEqual(pair.broken, ["it takes no answers"]);
    assert.ok(pair.questions.length <= 10);
    assert.ok(pair.socket.writableLength < 80 * MIB);
    pair.asker.destroy();
  });

  it("tells why an answer does not fit into a frame, of that question alone", async () => {
    const answers = [() => {}, Promise.resolve(() => {}), "x".repeat(17 * MIB), "fits"];
    const pair = await sockets.open(({ id }) => answers[id]);
    await askAll(pair, ...answers.map((_, id) => asking(id)));
    const byId = new Map(pair.frames.map(({ id, body }) => [id, JSON.stringify(body)]));
    assert.match(byId.get(0) ?? "", /^{"error":".*could not be cloned/);
    assert.match(byId.get(1) ?? "", /^{"error":".*could not be cloned/);
    assert.match(byId.get(2) ?? "", /^{"error":"write frame: it would have \d+ bytes"}$/);
    assert.equal(byId.get(3), '{"answer":"fits"}');
    assert.deepEqual(pair.broken, []);
  });

  it("is not harmed by who goes away in between", async () => {
    const pair = await sockets.open(() => Buffer.alloc(MIB));
    ask(pair, 1, 30);
    await until(() => pair.questions.length > 0, "a question");
    pair.asker.destroy();
    await until(() => pair.socket.destroyed, "its end");
    assert.deepEqual(pair.broken, []);
  });
});
