import assert from "node:assert/strict";
import { execFileSync, spawnSync } from "node:child_process";
import { existsSync, mkdtempSync, readFileSync, rmSync, statSync, writeFileSync } from "node:fs";
import { tmpdir } from "node:os";
import { join } from "node:path";
import { after, afterEach, before, describe, test } from "node:test";
import { setTimeout } from "node:timers/promises";
import { createLocateNetns } from "../../src/findings/locate-netns.ts";
import type { NetnsPlace } from "../../src/findings/place.ts";
import { remedyIn } from "../../src/findings/remedy.ts";
import { findNamespaces } from "../../src/kernel/namespaces.ts";
import { type Running, start } from "../support/commands.ts";
import { until } from "../support/until.ts";

const SYSCTL = "net.ipv4.ip_default_ttl";
const HOSTILE = [
  "a;touch MARK;#",
  "b $(touch MARK)",
  "c`touch MARK`",
  "d'e\"f",
  "-n",
  "g..h",
  "größe 名",
  "i\\",
  "*",
];

/** Commands enter the namespace that they are for and no other, whatever it is called. */
describe("a remedy for a network namespace", () => {
  const folder = mkdtempSync(join(tmpdir(), "tuplewatch-remedies-"));
  const made: string[] = [];
  const members: Running[] = [];
  const locate = createLocateNetns();

  before(() => writeFileSync(join(folder, "bystander"), ttl()));
  afterEach(async () => {
    for (const name of made.splice(0)) {
      spawnSync("umount", [`/run/netns/${name}`]);
      rmSync(`/run/netns/${name}`, { force: true });
    }
    for (const { child, done } of members.splice(0)) {
      child.kill("SIGKILL");
      await done;
    }
    assert.equal(ttl(), readFileSync(join(folder, "bystander"), "utf8"), "this machine's own");
    assert.ok(!existsSync(join(folder, "MARK")), "nothing else was run");
  });
  after(() => rmSync(folder, { recursive: true }));

  function add(name: string): number {
    execFileSync("ip", ["netns", "add", name]);
    made.push(name);
    return statSync(`/run/netns/${name}`).ino;
  }

  function drop(name: string): void {
    spawnSync("ip", ["netns", "delete", name]);
    made.splice(made.indexOf(name), 1);
  }

  /**
   * A namespace that is gone, and the last one made: with the same number where the kernel gave it
   * again. It frees a number only when its worker takes the namespace apart (cleanup_net()), and
   * whoever comes first gets it: another namespace of any kind on this machine may.
   */
  async function withNumberGivenAgain(): Promise<{ inum: number; cookie?: string; again: number }> {
    for (let round = 0; ; round++) {
      const inum = add("tw-first");
      const { cookie } = await cookieOf(inum);
      drop("tw-first");
      if (cookie === undefined) return { inum, again: 0 };
      let again = 0;
      for (let tries = 0; again !== inum && tries < 50; tries++) {
        again = add(`tw-next-${tries}`);
        if (again !== inum) await setTimeout(20);
      }
      if (again === inum || round === 9) return { inum, cookie, again };
      for (const name of [...made]) drop(name);
    }
  }

  /** A process in a namespace that has no name. */
  async function member(...wrapper: string[]): Promise<{ pid: number; inum: number }> {
    const [program = "sleep", ...args] = [...wrapper, "sleep", "300"];
    const running = start(program, args);
    members.push(running);
    const pid = running.child.pid ?? 0;
    await until(() => readFileSync(`/proc/${pid}/comm`, "utf8") === "sleep\n", "it sleeps");
    return { pid, inum: statSync(`/proc/${pid}/ns/net`).ino };
  }

  async function cookieOf(inum: number): Promise<{ cookie?: string }> {
    const { namespaces } = await findNamespaces();
    const cookie = namespaces.find((one) => one.inum === inum)?.cookie;
    return cookie === undefined ? {} : { cookie: String(cookie) };
  }

  /** Sets a sysctl by a remedy's command; its exit code and what it wrote. */
  function set(place: NetnsPlace, value: string): { status: number | null; stderr: string } {
    const { summary, commands } = remedyIn(place, "", ["sysctl", "-w", `${SYSCTL}=${value}`]);
    const [command] = commands;
    assert.ok(command !== undefined, summary);
    return spawnSync("sh", ["-c", command], { cwd: folder, encoding: "utf8" });
  }

  function ttl(...entry: string[]): string {
    const [program = "sysctl", ...args] = [...entry, "sysctl", "-n", SYSCTL];
    return execFileSync(program, args, { encoding: "utf8" }).trim();
  }

  for (const name of HOSTILE) {
    test(`by the name ${JSON.stringify(name)}`, async () => {
      const inum = add(name);
      const other = add("tw-bystander");
      const place = locate({ inum, ...(await cookieOf(inum)) }, []);
      assert.equal(place.ipNetnsName, name);
      assert.deepEqual(set(place, "77").status, 0);
      assert.equal(ttl("nsenter", `--net=/run/netns/${name}`), "77");
      assert.equal(ttl("nsenter", "--net=/run/netns/tw-bystander"), ttl());
      assert.notEqual(inum, other);
    });
  }

  test("by a process of it that is alive, where it has no name", async () => {
    const { pid, inum } = await member("unshare", "--net");
    const elsewhere = await member("unshare", "--net");
    const place = locate({ inum, ...(await cookieOf(inum)) }, [undefined, elsewhere.pid, 1, pid]);
    assert.deepEqual([place.ipNetnsName, place.pid], [undefined, pid]);
    assert.equal(set(place, "78").status, 0);
    assert.equal(ttl("nsenter", `--net=/proc/${pid}/ns/net`), "78");
    assert.equal(ttl("nsenter", `--net=/proc/${elsewhere.pid}/ns/net`), ttl());
  });

  test("not by a process that is another one by now, or gone", async () => {
    const { pid } = await member("unshare", "--net");
    const reused = set({ inum: statSync("/proc/self/ns/net").ino, pid }, "79");
    assert.notEqual(reused.status, 0);
    assert.match(reused.stderr, new RegExp(`process ${pid} is in another network namespace`));
    assert.notEqual(ttl("nsenter", `--net=/proc/${pid}/ns/net`), "79");
    const [last] = members.splice(0);
    last?.child.kill("SIGKILL");
    await last?.done;
    const gone = set({ inum: 1, pid }, "79");
    assert.notEqual(gone.status, 0);
    assert.match(gone.stderr, /No such file or directory/);
  });

  test("by nothing, in the namespace of a shell here", () => {
    const inum = statSync("/proc/self/ns/net").ino;
    const place = locate({ inum }, [process.pid]);
    const { commands } = remedyIn(place, "", ["sysctl", "-n", SYSCTL]);
    assert.deepEqual(commands, [`sysctl -n ${SYSCTL}`]);
    assert.equal(execFileSync("sh", ["-c", commands[0] ?? ""], { encoding: "utf8" }).trim(), ttl());
  });

  test("not by the name or process of the next one with the same inode number", async (t) => {
    const { inum, cookie, again } = await withNumberGivenAgain();
    if (cookie === undefined) return t.skip("this kernel does not tell the cookie of a namespace");
    assert.equal(again, inum, "the kernel gives the number again");
    const { pid } = await member("nsenter", `--net=/run/netns/${made.at(-1)}`);
    const place = locate({ inum, cookie }, [pid]);
    assert.deepEqual([place.ipNetnsName, place.pid], [undefined, undefined]);
    const { summary, commands } = remedyIn(place, "Do.", ["ss"]);
    assert.deepEqual(commands, []);
    assert.match(summary, new RegExp(`with cookie ${cookie}, inode ${inum}`));
  });

  test("without a command where its name has two lines, unless a process is in it", async () => {
    const { pid, inum } = await member("unshare", "--net");
    const name = "a\ntouch MARK";
    writeFileSync(`/run/netns/${name}`, "");
    made.push(name);
    execFileSync("mount", ["--bind", `/proc/${pid}/ns/net`, `/run/netns/${name}`]);
    const identity = { inum, ...(await cookieOf(inum)) };
    const nameless = locate(identity, []);
    assert.equal(nameless.ipNetnsName, name);
    const { summary, commands } = remedyIn(nameless, "Do.", ["ss"]);
    assert.deepEqual(commands, []);
    assert.match(summary, /is called "a\\ntouch MARK", which reads as another name\.\)$/);
    assert.equal(set(locate(identity, [pid]), "80").status, 0);
    assert.equal(ttl("nsenter", `--net=/proc/${pid}/ns/net`), "80");
  });
});
