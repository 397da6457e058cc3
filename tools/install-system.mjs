// Installs the built daemon as a systemd service, or takes it away:
//   node tools/install-system.mjs [--prefix /usr/local] [--destdir DIR] [--uninstall]
// May be repeated. Below --destdir nothing is started: that is for packages and images.
import { spawnSync } from "node:child_process";
import {
  chmodSync,
  cpSync,
  existsSync,
  mkdirSync,
  readdirSync,
  readFileSync,
  renameSync,
  rmSync,
  writeFileSync,
} from "node:fs";
import { dirname, join, relative } from "node:path";
import { fileURLToPath } from "node:url";
import { parseArgs } from "node:util";

const HELP = `Installs tuplewatch as a systemd service, or takes it away.

  npm run install:system -- [options]
  npm run uninstall:system -- [options]

  --prefix DIR    where its files go (default /usr/local; /usr for packages)
  --destdir DIR   put all below DIR, and start nothing
  --no-start      install, but neither enable nor start
  --help

Files: PREFIX/lib/tuplewatch, PREFIX/bin/tuplewatch, PREFIX/lib/systemd/system/tuplewatch.*, and
/etc/default/tuplewatch, which is left alone once it is there, also by uninstall:system.
`;

const root = dirname(dirname(fileURLToPath(import.meta.url)));
const UNITS = ["tuplewatch.socket", "tuplewatch.service"];
/** Attached by perf_event_open(2), which the service may not call by default (systemd/perf.conf). */
const PERF_BACKENDS = ["kprobe", "syscall_tracepoint"];

/** Where Node has it: SIGUSR1 never opens the debugger, not even before the daemon's first line. */
const NO_DEBUGGER = "--disable-sigusr1";
const known = spawnSync(process.execPath, [NO_DEBUGGER, "-e", "0"]).status === 0;
const node = [process.execPath, ...(known ? [NO_DEBUGGER] : [])].join(" ");

const options = readArguments();
const paths = {
  lib: join(options.prefix, "lib/tuplewatch"),
  bin: join(options.prefix, "bin/tuplewatch"),
  units: join(options.prefix, "lib/systemd/system"),
  settings: "/etc/default/tuplewatch",
  /** Written for this machine's kernel. */
  dropIn: "/etc/systemd/system/tuplewatch.service.d/perf.conf",
};
const placed = (path) => join(options.destdir, path);

function readArguments() {
  const known = {
    prefix: { type: "string", default: "/usr/local" },
    destdir: { type: "string", default: "" },
    "no-start": { type: "boolean", default: false },
    uninstall: { type: "boolean", default: false },
    help: { type: "boolean", default: false },
  };
  let values;
  try {
    values = parseArgs({ options: known }).values;
  } catch (error) {
    fail(error.message, 2);
  }
  if (values.help) {
    process.stdout.write(HELP);
    process.exit(0);
  }
  if (!values.prefix.startsWith("/")) fail("--prefix: an absolute path is needed", 2);
  return values;
}

function say(text) {
  process.stdout.write(`${text}\n`);
}

function fail(text, code = 1) {
  process.stderr.write(`install: error: ${text}\n`);
  process.exit(code);
}

function run(command, ...args) {
  const { status, error, stdout, stderr } = spawnSync(command, args, { encoding: "utf8" });
  if (status === 0) return stdout;
  return fail(`${command} ${args.join(" ")}: ${error?.message ?? `exit ${status}`}\n${stderr}`);
}

/** Whether there is a service manager to talk to (sd_booted(3)). */
function isBooted() {
  return options.destdir === "" && existsSync("/run/systemd/system");
}

/** Directories of the packages that the daemon needs to run, below the project. */
function productionPackages() {
  const args = ["ls", "--omit=dev", "--all", "--parseable"];
  const { stdout } = spawnSync("npm", args, { cwd: root, encoding: "utf8" });
  const found = stdout
    .split("\n")
    .map((path) => relative(root, path))
    .filter((path) => path.startsWith("node_modules/"));
  if (found.length === 0) fail("npm ls names no packages: run npm run setup first");
  return found;
}

/** The documentation, without what it is generated of. */
function pages() {
  const names = readdirSync(join(root, "docs")).filter((name) => name.endsWith(".md"));
  return [...names, "reference"].map((name) => join("docs", name));
}

/** Made beside the old one, which it then replaces: a failure in between leaves the old one. */
function installFiles() {
  const fresh = `${placed(paths.lib)}.new`;
  rmSync(fresh, { recursive: true, force: true });
  mkdirSync(fresh, { recursive: true });
  const bindings = join("node_modules", "libbpf-ts");
  const texts = [
    "package.json",
    "README.md",
    "SECURITY.md",
    "LICENSE",
    "LICENSES",
    "openapi.json",
    ...pages(),
  ];
  const page = ["index.html", "page.css", "icon.svg"].map((name) => `src/page/${name}`);
  const parts = [...texts, ...page, "build/src", "build/bpf"];
  for (const part of [...parts, ...productionPackages().filter((path) => path !== bindings)]) {
    cpSync(join(root, part), join(fresh, part), { recursive: true, dereference: true });
  }
  for (const part of ["package.json", "build/src"]) {
    cpSync(join(root, "src/libbpf-ts", part), join(fresh, bindings, part), { recursive: true });
  }
  const old = `${placed(paths.lib)}.old`;
  rmSync(old, { recursive: true, force: true });
  if (existsSync(placed(paths.lib))) renameSync(placed(paths.lib), old);
  renameSync(fresh, placed(paths.lib));
  rmSync(old, { recursive: true, force: true });
  write(paths.bin, `#!/bin/sh\nexec ${node} ${paths.lib}/build/src/cli/main.js "$@"\n`);
  chmodSync(placed(paths.bin), 0o755);
}

function write(path, text) {
  mkdirSync(dirname(placed(path)), { recursive: true });
  writeFileSync(placed(path), text);
}

function installUnits() {
  const values = { "@LIB@": paths.lib, "@NODE@": node };
  for (const unit of UNITS) {
    let text = readFileSync(join(root, "systemd", unit), "utf8");
    for (const [name, value] of Object.entries(values)) text = text.replaceAll(name, value);
    write(join(paths.units, unit), text);
  }
  if (existsSync(placed(paths.settings))) return;
  write(paths.settings, readFileSync(join(root, "systemd/tuplewatch.default"), "utf8"));
}

/** The service may call perf_event_open, and open tracefs, where the best backend of a probe needs it. */
function fitToKernel() {
  rmSync(placed(paths.dropIn), { force: true });
  const { stdout } = spawnSync(placed(paths.bin), ["check", "--json"], { encoding: "utf8" });
  const needy = JSON.parse(stdout).probes.filter(({ chosen }) => PERF_BACKENDS.includes(chosen));
  if (needy.length === 0) return;
  const names = needy.map(({ probe, chosen }) => `${probe} (${chosen})`).join(", ");
  say(`this kernel's best backends need perf_event_open, which the service may call: ${names}`);
  write(paths.dropIn, readFileSync(join(root, "systemd/perf.conf"), "utf8"));
}

function install() {
  installFiles();
  installUnits();
  say(`installed ${paths.lib}, ${paths.bin}, ${paths.units}/tuplewatch.service and .socket`);
  if (options.destdir !== "") return;
  fitToKernel();
  if (!isBooted() || options["no-start"]) {
    say("not started; on a system that systemd runs: systemctl enable --now tuplewatch");
    return;
  }
  run("systemctl", "daemon-reload");
  run("systemctl", "enable", "--quiet", ...UNITS);
  // A service that runs goes on with the old files until it is restarted.
  run("systemctl", "restart", "tuplewatch.socket", "tuplewatch.service");
  say("tuplewatch runs; try: tuplewatch status");
}

function uninstall() {
  if (isBooted() && existsSync(join(paths.units, "tuplewatch.service"))) {
    run("systemctl", "disable", "--quiet", "--now", ...UNITS);
  }
  for (const path of [paths.lib, paths.bin, paths.dropIn]) {
    rmSync(placed(path), { recursive: true, force: true });
  }
  for (const unit of UNITS) rmSync(placed(join(paths.units, unit)), { force: true });
  if (isBooted()) run("systemctl", "daemon-reload");
  const left = existsSync(placed(paths.settings)) ? `; ${paths.settings} is left` : "";
  say(`uninstalled${left}`);
}

if (options.destdir === "" && process.getuid() !== 0) fail("root is needed, or --destdir");
(options.uninstall ? uninstall : install)();
