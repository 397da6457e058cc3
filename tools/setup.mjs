// Makes a fresh checkout ready to run: Debian packages, Node packages, BPF objects, TypeScript.
// Plain JavaScript without dependencies, because it runs before anything is installed or built.
import { spawnSync } from "node:child_process";
import { createHash } from "node:crypto";
import { existsSync, mkdirSync, readdirSync, readFileSync, rmSync, writeFileSync } from "node:fs";
import { dirname, join } from "node:path";
import { fileURLToPath } from "node:url";
import { packages } from "./packages.mjs";

const root = dirname(dirname(fileURLToPath(import.meta.url)));
const forTests = process.argv.includes("--tests");
const MIN_NODE_MAJOR = 20;
const LOCK_TIMEOUT_S = 300;
const ARCHITECTURES = ["x64", "arm64"];

function say(text) {
  process.stderr.write(`setup: ${text}\n`);
}

function fail(text) {
  process.stderr.write(`setup: error: ${text}\n`);
  process.exit(1);
}

function runQuietly(command, args, env) {
  return spawnSync(command, args, {
    cwd: root,
    env: { ...process.env, ...env },
    encoding: "utf8",
    maxBuffer: 1 << 28,
  });
}

/** Runs a command quietly; on failure shows all it printed and ends. */
function run(what, command, args, env = {}) {
  const done = runQuietly(command, args, env);
  if (done.status === 0) return;
  process.stderr.write(`${done.stdout ?? ""}${done.stderr ?? ""}`);
  const why =
    done.error?.message ?? (done.signal ? `signal ${done.signal}` : `exit ${done.status}`);
  fail(`${what} failed: ${command} ${args.join(" ")}: ${why}`);
}

function isInstalled(name) {
  // biome-ignore lint/suspicious/noTemplateCurlyInString: dpkg's own placeholder
  const query = spawnSync("dpkg-query", ["-W", "-f=${db:Status-Status}", name], {
    encoding: "utf8",
  });
  return query.status === 0 && query.stdout === "installed";
}

function missingPackages() {
  if (spawnSync("dpkg-query", ["--version"]).error) {
    say("no dpkg here: not checking for packages (docs/dependencies.md says what is needed)");
    return [];
  }
  const wanted = forTests ? [...packages.build, ...packages.tests] : packages.build;
  return wanted.filter(([name]) => !isInstalled(name));
}

function checkHost() {
  const major = Number(process.versions.node.split(".")[0]);
  if (process.platform !== "linux") fail(`Linux is needed; this is ${process.platform}`);
  if (major < MIN_NODE_MAJOR) {
    fail(`Node ${MIN_NODE_MAJOR} or newer is needed; this is ${process.versions.node}`);
  }
  if (!ARCHITECTURES.includes(process.arch)) {
    fail(`${process.arch} is not supported; supported: ${ARCHITECTURES.join(", ")}`);
  }
}

function checkRoot(missing) {
  if (process.getuid() === 0) return;
  const needs = missing.map(([name, why]) => `installing the package ${name} (${why})`);
  needs.push(
    forTests
      ? "the tests load BPF programs and make network namespaces"
      : "loading BPF programs into the kernel (CAP_BPF, CAP_PERFMON, CAP_NET_ADMIN, CAP_SYS_ADMIN)",
  );
  fail(`this needs root:\n${needs.map((need) => `  - ${need}`).join("\n")}\nRun it with sudo.`);
}

/** Waits for another apt or dpkg, such as the machine's own updates, instead of failing. */
function aptGet(what, ...args) {
  const env = { DEBIAN_FRONTEND: "noninteractive" };
  run(what, "apt-get", ["-qq", "-o", `DPkg::Lock::Timeout=${LOCK_TIMEOUT_S}`, ...args], env);
}

/** apt's option makes it wait for dpkg's lock only: that of the lists is tried for here. */
function readPackageLists() {
  for (let waitedS = 0; waitedS < LOCK_TIMEOUT_S; waitedS++) {
    const { status, stderr } = runQuietly("apt-get", ["-qq", "update"], {});
    if (status === 0) return;
    if (!/lists\/lock/.test(stderr)) break;
    if (waitedS === 0) say("waiting for another apt, which reads the package lists");
    spawnSync("sleep", ["1"]);
  }
  aptGet("reading the package lists", "update");
}

function installPackages(missing) {
  if (missing.length === 0) return;
  for (const [name, why] of missing) say(`installing ${name}: ${why}`);
  readPackageLists();
  const names = missing.map(([name]) => name);
  aptGet("installing packages", "install", "-y", "--no-install-recommends", ...names);
}

function installNodePackages() {
  const stamp = join(root, "node_modules", ".tuplewatch-lock");
  const lock = createHash("sha256")
    .update(readFileSync(join(root, "package-lock.json")))
    .digest("hex");
  if (existsSync(stamp) && readFileSync(stamp, "utf8") === lock) return;
  say("installing Node packages (npm ci): package-lock.json is new here");
  // koffi ships its binaries in packages of their own, so that no install script has to run.
  const env = { npm_config_loglevel: "error" };
  run("npm ci", "npm", ["ci", "--ignore-scripts", "--no-audit", "--no-fund"], env);
  writeFileSync(stamp, lock);
}

/**
 * Programs taken out of Debian's packages, which are not installed: that would start servers, or
 * bring a hundred tools.
 */
function fetchTools() {
  const target = join(root, "build", "tools");
  for (const [name, file, why] of packages.unpacked) {
    if (existsSync(join(target, file))) continue;
    say(`fetching ${name} (Debian's package, not installed): ${why}`);
    fetchTool(name, target);
  }
}

function fetchTool(name, target) {
  const download = join(root, "build", "download");
  rmSync(download, { recursive: true, force: true });
  mkdirSync(download, { recursive: true });
  mkdirSync(target, { recursive: true });
  const fetched = spawnSync("apt-get", ["download", "-qq", name], {
    cwd: download,
    encoding: "utf8",
  });
  if (fetched.status !== 0) {
    readPackageLists();
    run(`fetching ${name}`, "sh", ["-c", `cd "${download}" && apt-get download -qq ${name}`]);
  }
  const archive = readdirSync(download).find((entry) => entry.endsWith(".deb"));
  if (archive === undefined) fail(`apt-get download ${name} left no .deb`);
  run(`unpacking ${name}`, "dpkg-deb", ["-x", join(download, archive), target]);
  rmSync(download, { recursive: true, force: true });
}

function build() {
  const first = !existsSync(join(root, "build", "src.tsbuildinfo"));
  if (first) say("building the BPF programs and the TypeScript sources");
  run("building the BPF programs", "make", ["--no-print-directory", "-s", "-C", "bpf"]);
  const forTheTests = forTests ? ["src/libbpf-ts/test/bpf", "test/faults"] : [];
  for (const directory of forTheTests) {
    run(`building ${directory}`, "make", ["--no-print-directory", "-s", "-C", directory]);
  }
  run("compiling TypeScript", process.execPath, ["node_modules/typescript/bin/tsc", "-b"]);
}

checkHost();
const missing = missingPackages();
checkRoot(missing);
installPackages(missing);
installNodePackages();
build();
if (forTests) fetchTools();
