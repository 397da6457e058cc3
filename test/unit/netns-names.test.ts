import assert from "node:assert/strict";
import { describe, it } from "node:test";
import { NetnsNames } from "../../src/names/netns.ts";
import type { NetnsAnswer, NetnsQuestion } from "../../src/names/netns-resolver.ts";

const NAMESPACES = 2000;

/** Answers from a table and counts how often it is asked. */
class CountingResolver {
  readonly answers = new Map<number | undefined, NetnsAnswer>();
  readonly confirmed = new Set<NetnsAnswer>();
  resolved = 0;
  confirmations = 0;

  resolve({ cookie }: NetnsQuestion): NetnsAnswer | undefined {
    this.resolved++;
    return this.answers.get(cookie);
  }

  confirm(_: NetnsQuestion, answer: NetnsAnswer): boolean {
    this.confirmations++;
    return this.confirmed.has(answer);
  }
}

function question(cookie: number | undefined, pid = 0): NetnsQuestion {
  return { cookie, inum: 4_026_532_000, pid };
}

function fileAnswer(name: string): NetnsAnswer {
  const file = { name, path: `/run/netns/${name}`, inum: 4_026_532_000, inodeMadeAtMs: 1 };
  return { name, file, isProven: true };
}

describe("names of network namespaces", () => {
  it("are looked for a fixed number of times a second; the rest is counted", () => {
    const resolver = new CountingResolver();
    const names = new NetnsNames(resolver);
    const begunAtMs = performance.now();
    let nameless = 0;
    for (let cookie = 1; cookie <= NAMESPACES; cookie++) {
      resolver.answers.set(cookie, fileAnswer(`ns-${cookie}`));
      nameless += names.name(question(cookie)) === undefined ? 1 : 0;
    }
    const seconds = (performance.now() - begunAtMs) / 1000;
    assert.ok(resolver.resolved >= 200 && resolver.resolved <= 200 * (1 + seconds));
    assert.equal(nameless, NAMESPACES - resolver.resolved);
    assert.equal(names.skipped, nameless);
  });

  it("of files are confirmed for each batch of events, once", () => {
    const resolver = new CountingResolver();
    const names = new NetnsNames(resolver);
    const answer = fileAnswer("web");
    resolver.answers.set(7, answer);
    resolver.confirmed.add(answer);
    const ask = () => [1, 2, 3].map(() => names.name(question(7)));
    assert.deepEqual(ask(), ["web", "web", "web"]);
    assert.deepEqual([resolver.resolved, resolver.confirmations], [1, 0]);
    names.beginBatch();
    assert.deepEqual(ask(), ["web", "web", "web"]);
    assert.deepEqual([resolver.resolved, resolver.confirmations], [1, 1]);
    resolver.confirmed.clear();
    resolver.answers.delete(7);
    names.beginBatch();
    assert.deepEqual(ask(), [undefined, undefined, undefined]);
  });

  it("are absent, and counted, while nobody can look", () => {
    const resolver = new CountingResolver();
    const names = new NetnsNames(resolver);
    resolver.answers.set(7, fileAnswer("web"));
    assert.equal(names.name(question(7)), "web");
    resolver.confirm = () => {
      throw new Error("busy");
    };
    resolver.resolve = () => {
      throw new Error("busy");
    };
    names.beginBatch();
    assert.equal(names.name(question(7)), undefined);
    assert.equal(names.name(question(8)), undefined);
    assert.equal(names.failed, 3);
  });

  it("of containers stay with the cookie, but not with an inode number", () => {
    const resolver = new CountingResolver();
    const names = new NetnsNames(resolver);
    resolver.answers.set(7, { name: "5e5e5e5e5e5e", isProven: true });
    resolver.answers.set(undefined, { name: "7a7a7a7a7a7a", isProven: false });
    assert.equal(names.name(question(7, 41)), "5e5e5e5e5e5e");
    assert.equal(names.name(question(undefined, 42)), "7a7a7a7a7a7a");
    resolver.answers.clear();
    names.beginBatch();
    assert.equal(names.name(question(7)), "5e5e5e5e5e5e");
    assert.equal(names.name(question(undefined)), undefined);
  });

  it("that are unknown are not looked for with each event", () => {
    const resolver = new CountingResolver();
    const names = new NetnsNames(resolver);
    for (let pid = 1; pid <= 1000; pid++) names.name(question(7, pid));
    assert.equal(resolver.resolved, 3);
    assert.deepEqual([names.skipped, names.failed], [0, 0]);
  });

  it("that cannot be looked for are counted", () => {
    const names = new NetnsNames({
      resolve: () => {
        throw new Error("enter another network namespace: EPERM");
      },
      confirm: () => false,
    });
    assert.equal(names.name(question(7)), undefined);
    assert.equal(names.failed, 1);
  });
});
