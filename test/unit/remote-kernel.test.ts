import assert from "node:assert/strict";
import { mkdtempSync, rmSync, statSync, writeFileSync } from "node:fs";
import { tmpdir } from "node:os";
import { join } from "node:path";
import { describe, it } from "node:test";
import type { Question } from "../../src/channel/questions.ts";
import {
  type LookAtFile,
  RemoteNetnsResolver,
  RemoteScans,
  remoteLocate,
} from "../../src/daemon/serve/remote-kernel.ts";
import { rememberPlaces } from "../../src/findings/locate-netns.ts";
import type { NetnsPlace } from "../../src/findings/place.ts";

const NETNS = { cookie: "7", inum: 4_026_532_000 };

/** Notes what is asked for places, and answers from `find`. */
function noted(find: (pids: readonly number[]) => NetnsPlace) {
  const asked: Omit<Question, "id">[] = [];
  const locate = remoteLocate({
    ask: (question) => {
      asked.push(question);
      return find(question.pids ?? []);
    },
  });
  return { asked, locate };
}

describe("ways into a namespace, asked for", () => {
  it("are looked for by all processes, as many at once as a question has room for", () => {
    const { asked, locate } = noted((pids) => ({ ...NETNS, pid: pids.find((pid) => pid === 16) }));
    const pids = [11, undefined, 12, 13, 14, 15, 16, 17, 18, 19];
    assert.deepEqual(locate(NETNS, pids), { ...NETNS, pid: 16 });
    assert.deepEqual(
      asked.map(({ pids: some }) => some),
      [
        [11, 12, 13, 14],
        [15, 16, 17, 18],
      ],
    );
    assert.deepEqual(asked[0], {
      kind: "place",
      cookie: 7n,
      inum: NETNS.inum,
      pids: [11, 12, 13, 14],
    });
  });

  it("are asked for once where there is another way, or no process", () => {
    for (const place of [
      { ...NETNS, isHome: true },
      { ...NETNS, ipNetnsName: "web" },
    ]) {
      const { asked, locate } = noted(() => place);
      assert.equal(locate(NETNS, [1, 2, 3, 4, 5]), place);
      assert.equal(asked.length, 1);
    }
    const { asked, locate } = noted(() => NETNS);
    assert.deepEqual(locate(NETNS, []), NETNS);
    assert.deepEqual(locate(undefined, [1]), { cookie: undefined, inum: undefined });
    assert.equal(asked.length, 1);
  });

  it("stay as they were while nobody answers", () => {
    let answer: () => NetnsPlace = () => ({ ...NETNS, ipNetnsName: "web" });
    const locate = rememberPlaces(() => answer());
    assert.equal(locate(NETNS, []).ipNetnsName, "web");
    answer = () => {
      throw new Error("busy");
    };
    assert.equal(locate(NETNS, []).ipNetnsName, "web");
    assert.deepEqual(locate(NETNS, [1]), NETNS);
  });
});

describe("names of namespaces, asked for", () => {
  const question = { cookie: 7, inum: NETNS.inum, pid: 0 };
  const file = { name: "web", path: "/run/netns/web", inum: NETNS.inum, inodeMadeAtMs: 1 };

  function resolver(looks: ReturnType<LookAtFile>[]) {
    const asked: string[] = [];
    let answer: unknown = { name: "web", file, isProven: true };
    const channel = {
      ask: ({ kind }: Omit<Question, "id">) => {
        asked.push(kind);
        return answer;
      },
    };
    const resolver = new RemoteNetnsResolver(channel, () => looks.shift() ?? "same");
    const found = resolver.resolve(question);
    answer = false;
    return { asked, confirm: () => found !== undefined && resolver.confirm(question, found) };
  }

  it("of a file need no question while the file is the same", () => {
    const { asked, confirm } = resolver(["same", "same", "other"]);
    assert.deepEqual([confirm(), confirm(), confirm()], [true, true, false]);
    assert.deepEqual(asked, ["netns", "confirm"]);
  });

  it("of a file that only others may see are believed for a second", (t) => {
    t.mock.method(performance, "now", () => nowMs);
    let nowMs = 5000;
    const { asked, confirm } = resolver(["unseen", "unseen"]);
    nowMs += 999;
    assert.equal(confirm(), true);
    nowMs += 1;
    assert.equal(confirm(), false);
    assert.deepEqual(asked, ["netns", "confirm"]);
  });

  it("of a file are asked for again after a while, as there may be a better one", (t) => {
    t.mock.method(performance, "now", () => nowMs);
    let nowMs = 5000;
    const { asked, confirm } = resolver([]);
    nowMs += 3000;
    assert.equal(confirm(), false);
    assert.deepEqual(asked, ["netns", "confirm"]);
  });

  it("are known to be another's when their file is one, by looking here", () => {
    const directory = mkdtempSync(join(tmpdir(), "tw-netns-"));
    const path = join(directory, "web");
    writeFileSync(path, "");
    const { ino, ctimeMs } = statSync(path);
    const answer = {
      name: "web",
      isProven: true,
      file: { name: "web", path, inum: ino, inodeMadeAtMs: ctimeMs },
    };
    let isRight: unknown = true;
    const asked: string[] = [];
    const resolver = new RemoteNetnsResolver({
      ask: ({ kind }) => {
        asked.push(kind);
        return isRight;
      },
    });
    assert.equal(resolver.confirm(question, answer), true);
    isRight = false;
    assert.equal(resolver.confirm(question, answer), true);
    rmSync(path);
    assert.equal(resolver.confirm(question, answer), false);
    writeFileSync(path, "");
    assert.equal(resolver.confirm(question, answer), false);
    assert.deepEqual(asked, ["confirm", "confirm", "confirm"]);
    rmSync(directory, { recursive: true });
  });
});

describe("scans of ports, asked for", () => {
  it("are one question for all that ask at once, and stay as they were without an answer", async () => {
    let asked = 0;
    const scan = { takenAtMs: 1, durationMs: 2, snapshots: [], leftOut: 3 };
    let answer = () => Promise.resolve({ number: 1, scan, ageMs: 5, failures: 2 });
    const scans = new RemoteScans({
      ask: () => {
        asked++;
        return answer();
      },
    });
    assert.deepEqual(await Promise.all([scans.latest(), scans.latest()]), [scan, scan]);
    assert.equal(asked, 1);
    answer = () => Promise.reject(new Error("busy"));
    assert.equal(await scans.latest(), scan);
    assert.equal(scans.failures, 3);
    assert.ok((scans.ageMs ?? 0) >= 5);
  });

  it("are sent once: whoever has the latest is told its age only", async () => {
    const first = { takenAtMs: 1, durationMs: 2, snapshots: [], leftOut: 3 };
    const second = { ...first, leftOut: 4 };
    const answers = [
      { number: 0, scan: undefined, ageMs: undefined, failures: 0 },
      { number: 1, scan: first, ageMs: 5, failures: 0 },
      { number: 1, scan: undefined, ageMs: 5000, failures: 2 },
      { number: 2, scan: second, ageMs: 7, failures: 2 },
    ];
    const known: unknown[] = [];
    const scans = new RemoteScans({
      ask: ({ inum }) => {
        known.push(inum);
        return Promise.resolve(answers.shift());
      },
    });
    assert.equal(await scans.latest(), undefined);
    assert.equal(await scans.latest(), first);
    assert.equal(await scans.latest(), first);
    assert.ok((scans.ageMs ?? 0) >= 5000);
    assert.equal(scans.failures, 2);
    assert.equal(await scans.latest(), second);
    assert.deepEqual(known, [0, 0, 1, 1]);
  });
});
