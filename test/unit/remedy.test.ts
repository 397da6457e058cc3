import assert from "node:assert/strict";
import { describe, it } from "node:test";
import type { NetnsPlace } from "../../src/findings/place.ts";
import { remedyElsewhere, remedyHere, remedyIn } from "../../src/findings/remedy.ts";
import { connectFields, Scene } from "../support/findings.ts";

const INUM = 4_026_532_300;

function commandIn(place: NetnsPlace): string {
  const { summary, commands } = remedyIn(place, "See.", ["ss", "-tanp"]);
  return commands.length === 0 ? summary : commands.join("\n");
}

describe("a remedy's command", () => {
  it("is as it stands in the namespace of who types it", () => {
    assert.equal(commandIn({ cookie: "1", inum: INUM, isHome: true, pid: 7 }), "ss -tanp");
  });

  it("goes by the name that ip netns knows, else by a process, whose namespace it compares", () => {
    const byName = { inum: INUM, ipNetnsName: "web", pid: 7 };
    assert.equal(commandIn(byName), "ip netns exec web ss -tanp");
    assert.equal(
      commandIn({ inum: INUM, ipNetnsName: "a;id>&2;#" }),
      "ip netns exec 'a;id>&2;#' ss -tanp",
    );
    const guarded =
      /^nsenter --net=\/proc\/7\/ns\/net sh -c '\[ .* = 4026532300 \] .*' sh ss -tanp$/;
    assert.match(commandIn({ inum: INUM, pid: 7 }), guarded);
    assert.match(commandIn({ inum: INUM, ipNetnsName: "web\n", pid: 7 }), guarded);
  });

  it("is none where nothing leads there, or only a name that reads as another", () => {
    assert.equal(
      commandIn({ cookie: "4127", inum: INUM }),
      "See. (Without a command: no name and no process is known that leads to the network " +
        "namespace with cookie 4127, inode 4026532300.)",
    );
    assert.match(commandIn({}), /leads to its network namespace\.\)$/);
    for (const name of [
      "web\nid",
      "web\u202e",
      "web\u200b",
      "web\u0085",
      "web\u2028",
      "we\ufffd",
    ]) {
      const text = commandIn({ inum: INUM, ipNetnsName: name });
      assert.match(text, /^See\. \(Without a command: .* reads as another name\.\)$/);
    }
  });

  it("is only in the namespace as far as it looks at the network", () => {
    const place = { ipNetnsName: "web" };
    const { commands } = remedyIn(place, "", [["conntrack", "-L"], ["sort"]]);
    assert.deepEqual(commands, ["ip netns exec web conntrack -L | sort"]);
  });

  it("is left out with all others if one cannot be read", () => {
    const odd = remedyHere("Do.", ["ss"], ["ss", "a\nb"]);
    assert.deepEqual(odd, {
      summary: 'Do. (Without a command: "a\\nb" reads as another word.)',
      commands: [],
    });
  });

  it("says where, if that is not this machine", () => {
    const { where, commands } = remedyElsewhere("the gateway", "Do.", ["ss"]);
    assert.deepEqual([where, commands], ["the gateway", ["ss"]]);
  });
});

describe("a finding's commands", () => {
  it("are those for its namespace as it is when the finding is told", () => {
    let place: NetnsPlace = { inum: INUM, pid: 812 };
    const asked: unknown[] = [];
    const scene = new Scene({
      place: (netns, pids) => {
        asked.push([netns?.inum, pids]);
        return place;
      },
    });
    scene.take("connect", connectFields({ result: "EADDRNOTAVAIL" }));
    assert.match(scene.only.remedies[0]?.commands[0] ?? "", /^nsenter --net=\/proc\/812\//);
    assert.deepEqual(asked.at(-1), [4026532321, [812]]);
    place = { inum: INUM };
    const [first] = scene.only.remedies;
    assert.deepEqual(first?.commands, []);
    assert.match(first?.summary ?? "", /Without a command: no name and no process/);
  });
});
