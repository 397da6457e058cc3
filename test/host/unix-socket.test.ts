import assert from "node:assert/strict";
import { execFileSync } from "node:child_process";
import {
  chownSync,
  existsSync,
  lstatSync,
  mkdirSync,
  mkdtempSync,
  readdirSync,
  readFileSync,
  readlinkSync,
  renameSync,
  rmSync,
  statSync,
  symlinkSync,
  writeFileSync,
} from "node:fs";
import { connect, createServer, type Server } from "node:net";
import { tmpdir } from "node:os";
import { join } from "node:path";
import { afterEach, beforeEach, describe, test } from "node:test";
import { bindSocket, closeFd, openSocket, Posix, unixAddress } from "libbpf-ts";
import { ListenError, type OpenListener, openListeners } from "../../src/http/listen/open.ts";
import { start } from "../support/commands.ts";
import { until } from "../support/until.ts";

const NOBODY = 65534;
const SECRET = "this file is somebody else's\n";

/** Moves files to a path and back, as the owner of a directory may; never over another one. */
const SWAP = `
import os, sys
path, *files = sys.argv[1:]
inodes = {file: os.lstat(file).st_ino for file in files}
def move(source, target, inode):
    try:
        if os.lstat(source).st_ino == inode:
            os.link(source, target)
            os.unlink(source)
    except OSError:
        pass
print("swapping", flush=True)
while True:
    for file, inode in inodes.items():
        move(file, path, inode)
        move(path, file, inode)
`;

describe("listening on a path", () => {
  let folder: string;
  let path: string;
  const open: OpenListener[] = [];
  const servers: Server[] = [];

  beforeEach(() => {
    folder = mkdtempSync(join(tmpdir(), "tuplewatch-socket-"));
    path = join(folder, "watch.sock");
  });
  afterEach(() => {
    for (const listener of open.splice(0)) close(listener);
    for (const server of servers.splice(0)) server.close();
    rmSync(folder, { recursive: true });
  });

  function close(listener: OpenListener): void {
    listener.removeFile();
    closeFd(listener.fd);
  }

  async function listen(): Promise<OpenListener> {
    const [listener] = await openListeners([{ kind: "unix", path, scope: "all" }]);
    assert.ok(listener);
    open.push(listener);
    return listener;
  }

  /** As a daemon that was killed leaves it. */
  function leaveStaleSocket(at: string, type: number = Posix.SOCK_STREAM): void {
    const fd = openSocket(Posix.AF_UNIX, type);
    bindSocket(fd, unixAddress(at));
    closeFd(fd);
  }

  async function serve(at: string): Promise<void> {
    const server = createServer().listen(at);
    servers.push(server);
    await until(() => server.listening, "listening");
  }

  const refused = (reason: RegExp) =>
    assert.rejects(listen(), (error) => {
      assert.ok(error instanceof ListenError);
      assert.ok(error.message.startsWith(`cannot listen on unix:${path}: ${path} is `));
      assert.match(error.message, reason);
      return true;
    });

  const answers = () =>
    new Promise<boolean>((resolve) => {
      const socket = connect(path, () => resolve(true)).on("error", () => resolve(false));
      socket.on("connect", () => socket.destroy());
    });

  test("replaces the socket that a killed daemon left, and leaves nothing beside it", async () => {
    leaveStaleSocket(path);
    const before = lstatSync(path).ino;
    const renamed = join(folder, "old");
    await listen();
    assert.ok(await answers());
    assert.ok(!existsSync(renamed) && lstatSync(path).ino >= 0 && before > 0);
    assert.deepEqual(readdirSync(folder), ["watch.sock"]);
  });

  test("leaves a regular file as it is", async () => {
    writeFileSync(path, SECRET);
    await refused(/is a regular file$/);
    assert.equal(readFileSync(path, "utf8"), SECRET);
  });

  test("leaves a link to a file, and the file", async () => {
    const file = join(folder, "file");
    writeFileSync(file, SECRET);
    symlinkSync(file, path);
    await refused(/is a symbolic link to ".*\/file"$/);
    assert.equal(readlinkSync(path), file);
    assert.equal(readFileSync(file, "utf8"), SECRET);
  });

  test("leaves a link to a stale socket, and the socket", async () => {
    const other = join(folder, "other.sock");
    leaveStaleSocket(other);
    symlinkSync(other, path);
    await refused(/is a symbolic link to ".*\/other\.sock"$/);
    assert.ok(lstatSync(other).isSocket() && lstatSync(path).isSymbolicLink());
  });

  test("leaves a link to nothing, and makes nothing there", async () => {
    symlinkSync(join(folder, "nowhere"), path);
    await refused(/is a symbolic link to ".*\/nowhere"$/);
    assert.deepEqual(readdirSync(folder), ["watch.sock"]);
  });

  test("leaves a directory, and what is in it", async () => {
    mkdirSync(path);
    writeFileSync(join(path, "file"), SECRET);
    await refused(/is a directory$/);
    assert.equal(readFileSync(join(path, "file"), "utf8"), SECRET);
  });

  test("leaves a named pipe", async () => {
    execFileSync("mkfifo", [path]);
    await refused(/is a named pipe$/);
    assert.ok(lstatSync(path).isFIFO());
  });

  test("leaves another user's stale socket", async () => {
    leaveStaleSocket(path);
    chownSync(path, NOBODY, NOBODY);
    await refused(/is a socket of another user \(uid 65534\)$/);
    assert.ok(lstatSync(path).isSocket());
  });

  test("leaves a socket on which somebody listens, also if his backlog is full", async () => {
    await serve(path);
    const { ino } = lstatSync(path);
    await refused(/is a socket on which somebody listens; another tuplewatch .*watch\.sock2$/);
    assert.equal(lstatSync(path).ino, ino);
    assert.ok(await answers());
  });

  test("leaves a datagram socket that somebody reads", async () => {
    const fd = openSocket(Posix.AF_UNIX, Posix.SOCK_DGRAM);
    bindSocket(fd, unixAddress(path));
    await refused(/is a socket that cannot be connected to: connect socket .*EPROTOTYPE/);
    assert.ok(lstatSync(path).isSocket());
    closeFd(fd);
  });

  test("says that there is no such directory", async () => {
    path = join(folder, "no", "watch.sock");
    await assert.rejects(listen(), {
      message: `cannot listen on unix:${path}: no such file or directory (ENOENT)`,
    });
  });

  test("removes its file at the end, but not what has come in its place", async () => {
    const listener = await listen();
    close(open.pop() ?? listener);
    assert.ok(!existsSync(path));
    const another = await listen();
    renameSync(path, join(folder, "moved"));
    writeFileSync(path, SECRET);
    close(open.pop() ?? another);
    assert.equal(readFileSync(path, "utf8"), SECRET);
  });

  test("never loses a file that comes and goes at the path meanwhile", async () => {
    const precious = join(folder, "precious");
    const stale = join(folder, "stale");
    writeFileSync(precious, SECRET);
    leaveStaleSocket(stale);
    const { ino } = statSync(precious);
    const swapper = start("python3", ["-c", SWAP, path, precious, stale]);
    await until(() => swapper.stdout() !== "", "swapping");
    const outcomes = new Set<string>();
    for (let i = 0; i < 2000; i++) {
      try {
        close(await listen());
        open.pop();
        outcomes.add("listened");
      } catch (error) {
        assert.ok(error instanceof Error);
        outcomes.add(error.message.replace(/^.*? is /, ""));
      }
    }
    swapper.child.kill("SIGKILL");
    await swapper.done;
    const found = readdirSync(folder, { recursive: true })
      .map((name) => join(folder, String(name)))
      .filter((name) => lstatSync(name).ino === ino);
    assert.ok(found.length > 0, "the file is still there");
    for (const name of found) assert.equal(readFileSync(name, "utf8"), SECRET);
    assert.ok(outcomes.size >= 2, [...outcomes].join("; "));
  });
});

describe("the rights of a socket's file", () => {
  /** /etc is what the test says in a mount namespace of its own. */
  const modeWith = async (group: string, wrapper: readonly string[] = []) => {
    const folder = mkdtempSync(join(tmpdir(), "tuplewatch-group-"));
    chownSync(folder, wrapper.length > 0 ? NOBODY : 0, -1);
    const groups = join(folder, "group");
    writeFileSync(groups, group);
    const path = join(folder, "s");
    const code = `import("${new URL("../../src/http/listen/open.js", import.meta.url)}")
      .then(({ openListeners }) => openListeners([{ kind: "unix", path: "${path}" }]))`;
    const script = `mount --bind ${groups} /etc/group && umask 0 && exec "$0" "$@"`;
    const node = [...wrapper, process.execPath, "--input-type=module", "-e", code];
    const { code: exit, stderr } = await start("unshare", ["--mount", "sh", "-c", script, ...node])
      .done;
    assert.equal(exit, 0, stderr);
    const { mode, gid, uid } = lstatSync(path);
    rmSync(folder, { recursive: true });
    return { mode: (mode & 0o777).toString(8), uid, gid };
  };

  test("let in the group tuplewatch where there is one, else only the user itself", async () => {
    assert.deepEqual(await modeWith("root:x:0:\n"), { mode: "600", uid: 0, gid: 0 });
    const withGroup = "root:x:0:\ntuplewatch:x:4711:\n";
    assert.deepEqual(await modeWith(withGroup), { mode: "660", uid: 0, gid: 4711 });
  });

  test("let in nobody else where the user may not give the file to that group", async () => {
    const wrapper = ["setpriv", "--reuid=65534", "--regid=65534", "--clear-groups"];
    const got = await modeWith("tuplewatch:x:4711:\n", wrapper);
    assert.deepEqual(got, { mode: "600", uid: NOBODY, gid: NOBODY });
  });
});
