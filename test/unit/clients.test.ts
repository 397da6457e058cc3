import assert from "node:assert/strict";
import type { Socket } from "node:net";
import { describe, it } from "node:test";
import { setImmediate as turn } from "node:timers/promises";
import { type Client, clientOf } from "../../src/http/clients/client.ts";
import { ClientCounts } from "../../src/http/clients/client-counts.ts";
import { limitConcurrency } from "../../src/http/clients/limit-concurrency.ts";
import { PeerUids } from "../../src/http/clients/peer-uids.ts";
import { HttpError } from "../../src/http/errors.ts";

const client = (owner: string, address = owner): Client => ({ owner, address });

describe("a client", () => {
  const uids = new PeerUids();
  const ownerOf = (remoteAddress: string) => clientOf({ remoteAddress } as Socket, uids).owner;

  it("is an IPv4 address, mapped or not", () => {
    assert.equal(ownerOf("192.0.2.7"), "192.0.2.7");
    assert.equal(ownerOf("::ffff:192.0.2.7"), "192.0.2.7");
  });

  it("is a whole /64 of IPv6", () => {
    assert.equal(ownerOf("2001:db8:1:2:3:4:5:6"), "2001:db8:1:2::/64");
    assert.equal(ownerOf("2001:db8:1:2:ffff::1"), "2001:db8:1:2::/64");
    assert.notEqual(ownerOf("2001:db8:1:3::1"), ownerOf("2001:db8:1:2::1"));
    assert.equal(ownerOf("fe80::1%eth0"), "fe80::/64");
  });

  it("is a local address where no user can be told", () => {
    assert.equal(ownerOf("127.0.0.9"), "local 127.0.0.9");
  });
});

describe("the greediest client", () => {
  const counted = (counts: readonly (readonly [Client, number])[]) => {
    const held = new ClientCounts();
    for (const [one, count] of counts) for (let i = 0; i < count; i++) held.add(one);
    return held;
  };

  it("is who holds more than the newcomer will", () => {
    const held = counted([
      [client("a"), 5],
      [client("b"), 3],
    ]);
    assert.deepEqual(held.greediest(client("c")), client("a"));
    assert.deepEqual(held.greediest(client("b")), client("a"));
    assert.equal(held.greediest(client("a")), undefined);
    held.remove(client("a"));
    assert.equal(held.greediest(client("b")), undefined, "4 to 3 is fair");
  });

  it("is nobody where each has one", () => {
    const held = counted([
      [client("a"), 1],
      [client("b"), 1],
    ]);
    assert.equal(held.greediest(client("c")), undefined);
  });

  it("is one owner, however many addresses it has", () => {
    const many = Array.from({ length: 9 }, (_, i) => [client("u", `127.0.0.${i}`), 1] as const);
    const held = counted([...many, [client("v", "127.0.0.1"), 2]]);
    assert.equal(held.greediest(client("w", "127.0.0.1"))?.owner, "u");
    assert.equal(held.greediest(client("u", "127.0.1.1")), undefined);
  });

  it("is an address of the same owner where that owner has most", () => {
    const held = counted([
      [client("u", "1"), 6],
      [client("u", "2"), 1],
      [client("v"), 2],
    ]);
    assert.deepEqual(held.greediest(client("u", "2")), client("u", "1"));
    assert.deepEqual(held.greediest(client("u", "3")), client("u", "1"));
    assert.equal(held.greediest(client("u", "1")), undefined);
  });

  it("is forgotten with its last place", () => {
    const held = counted([[client("a"), 2]]);
    for (let i = 0; i < 2; i++) held.remove(client("a"));
    assert.equal(held.ofOwner(client("a")), 0);
    assert.equal(held.greediest(client("b")), undefined);
  });
});

describe("dear work", () => {
  function limited(limit: number, waiting: number) {
    const refused: string[] = [];
    const started: string[] = [];
    const ends: (() => void)[] = [];
    const limits = {
      limit,
      waiting,
      what: "it",
      onRefused: (reason: string) => void refused.push(reason),
    };
    const act = limitConcurrency(limits, async (name: string) => {
      started.push(name);
      await new Promise<void>((resolve) => ends.push(resolve));
      return name;
    });
    return { act, refused, started, endFirst: () => ends.shift()?.() };
  }
  const isBusy = (error: unknown) => error instanceof HttpError && error.code === "busy";

  it("is half for one address at most, and all but one for one owner", async () => {
    const { act, refused, started } = limited(8, 0);
    for (let i = 0; i < 4; i++) void act(client("u", "1"), "one");
    await assert.rejects(act(client("u", "1"), "too many"), isBusy);
    for (let i = 0; i < 3; i++) void act(client("u", "2"), "two");
    await assert.rejects(act(client("u", "3"), "too many"), isBusy);
    assert.deepEqual(refused, ["client_share", "client_share"]);
    void act(client("v"), "other");
    await assert.rejects(act(client("w"), "late"), isBusy);
    assert.equal(refused.at(-1), "full");
    assert.equal(started.length, 8);
  });

  it("is for each owner in turn where it may wait", async () => {
    const { act, refused, started, endFirst } = limited(1, 2);
    const first = act(client("a"), "a1");
    const again = act(client("a"), "a2");
    await assert.rejects(act(client("a"), "a3"), isBusy);
    const other = act(client("b"), "b1");
    await assert.rejects(act(client("c"), "c1"), isBusy);
    assert.equal(refused.length, 2);
    for (const done of [first, again, other]) {
      endFirst();
      await done;
      await turn();
    }
    assert.deepEqual(started, ["a1", "a2", "b1"]);
    const last = act(client("c"), "c2");
    endFirst();
    assert.equal(await last, "c2");
  });
});
