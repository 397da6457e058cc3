// Runs inside a guest whose clock counts instructions: prints the results of a plan as JSON.
import { execFileSync, spawn } from "node:child_process";
import { mkdirSync, mkdtempSync, openSync, writeFileSync } from "node:fs";
import { tmpdir } from "node:os";
import { join } from "node:path";
import { setTimeout as sleep } from "node:timers/promises";
import {
  type DaemonProcess,
  type Running,
  start,
  startDaemonProcess,
  stopDaemon,
} from "../../support/commands.ts";
import { scrape } from "../../support/feed.ts";
import { median } from "../statistics.ts";
import {
  ALL_PROBES,
  COUNTS,
  type Cycle,
  FULL_PLAN,
  type Measured,
  NAT_NETNS,
  type ProgramCost,
  QUICK_PLAN,
  type Setup,
  type SetupResult,
} from "./plan.ts";

const CYCLES = "build/bench/cycles";
/**
 * The first warms up what runs beside, and is left out; of the others the median counts, so there
 * are more than a collection of garbage lasts.
 */
const ROUNDS = 12;
const HTTP_PORT = 8080;
const UDP_PORT = 9090;
/** Until a peer that says nothing has attached; where nothing runs the clock leaps. */
const PEER_START_MS = 20_000;
const SETTLE_MS = 5_000;

/** A namespace of its own, for conntrack then tracks no other cycle's connections. */
function makeNat(): void {
  for (const module of ["nf_conntrack", "nf_nat", "nft_chain_nat"]) {
    execFileSync("modprobe", [module]);
  }
  execFileSync("ip", ["netns", "add", NAT_NETNS]);
  execFileSync("ip", ["-n", NAT_NETNS, "link", "set", "lo", "up"]);
  const rules = `
    add table ip bench
    add chain ip bench output { type nat hook output priority -100; }
    add rule ip bench output ip daddr 127.0.0.9 udp dport 20000-20999 dnat to 127.0.0.1:${UDP_PORT}
  `;
  execFileSync("ip", ["netns", "exec", NAT_NETNS, "nft", "-f", "-"], { input: rules });
}

function startNginx(): Running {
  const folder = mkdtempSync(join(tmpdir(), "tuplewatch-bench-"));
  mkdirSync(join(folder, "www"));
  writeFileSync(join(folder, "www", "x"), `${"x".repeat(999)}\n`);
  const temporary = ["client_body", "proxy", "fastcgi", "uwsgi", "scgi"]
    .map((name) => `${name}_temp_path ${folder}/${name};`)
    .join(" ");
  const configuration = `
    daemon off; master_process off; user root; pid ${folder}/pid; error_log stderr;
    events { worker_connections 256; }
    http { access_log off; keepalive_requests 1000000000; ${temporary}
      server { listen 127.0.0.1:${HTTP_PORT}; root ${folder}/www; } }`;
  writeFileSync(join(folder, "nginx.conf"), configuration);
  return start("nginx", ["-e", "stderr", "-c", join(folder, "nginx.conf")]);
}

function runCycles(cycle: Cycle, rounds: number): number[] {
  const port = cycle.startsWith("http") ? HTTP_PORT : UDP_PORT;
  const needsPort = cycle.startsWith("http") || cycle === "udp_nat";
  const command = [CYCLES, cycle, String(COUNTS[cycle]), String(rounds)];
  if (needsPort) command.push(String(port));
  const wrapper = cycle === "udp_nat" ? ["ip", "netns", "exec", NAT_NETNS] : [];
  const [program = CYCLES, ...args] = [...wrapper, ...command];
  const output = execFileSync(program, args, { encoding: "utf8" });
  return output.trim().split("\n").map(Number);
}

function measure(cycle: Cycle): Measured {
  const rounds = runCycles(cycle, ROUNDS).slice(1);
  const middle = median(rounds);
  const spread = (Math.max(...rounds) - Math.min(...rounds)) / middle;
  return { cycle, instructions: middle, spread };
}

const UNLIMITED = ["--max-events-per-second", "0"];

function asUsual(args: readonly string[]): readonly string[] {
  return args.includes("--connect-events") ? args : [...args, "--connect-events", "auto"];
}

/** The setup `act` runs beside; ends it. */
async function beside(setup: Setup, act: (daemon?: DaemonProcess) => Promise<SetupResult>) {
  if (setup.daemon !== undefined) {
    const daemon = await startDaemonProcess([...UNLIMITED, ...asUsual(setup.daemon)]);
    await sleep(SETTLE_MS);
    const result = await act(daemon);
    await stopDaemon(daemon);
    return result;
  }
  if (setup.peer === undefined) return act();
  const [program, ...args] = setup.peer;
  const output = openSync(join(tmpdir(), "peer.out"), "w");
  const peer = spawn(program, args, { stdio: ["ignore", output, "inherit"] });
  const ended = new Promise((resolve) => peer.once("exit", resolve));
  await sleep(PEER_START_MS);
  if (peer.exitCode !== null) throw new Error(`${setup.name} ended: exit ${peer.exitCode}`);
  const result = await act();
  peer.kill("SIGINT");
  await ended;
  return result;
}

async function attachedTo(daemon?: DaemonProcess): Promise<Record<string, string>> {
  if (daemon === undefined) return {};
  const attached = (await scrape(daemon.url))("tuplewatch_probe_attached");
  const found: Record<string, string> = {};
  for (const [labels, value] of attached) {
    const { probe, backend } = labelsOf(labels);
    if (value === 1 && probe !== undefined) found[probe] = backend ?? "";
  }
  return found;
}

function labelsOf(text: string): Record<string, string> {
  return Object.fromEntries(
    [...text.matchAll(/(\w+)="([^"]*)"/g)].map(([, name = "", value = ""]) => [name, value]),
  );
}

/** Runs of each program per cycle, with those of the kernel's own statistics in them. */
async function programCosts(cycles: readonly Cycle[]): Promise<ProgramCost[]> {
  const daemon = await startDaemonProcess([...UNLIMITED, ...asUsual(["--program-stats", "on"])]);
  await sleep(SETTLE_MS);
  const costs: ProgramCost[] = [];
  for (const cycle of cycles) {
    runCycles(cycle, 1);
    const before = await programStats(daemon.url);
    const rounds = 2;
    runCycles(cycle, rounds);
    const after = await programStats(daemon.url);
    // A quarter of a round comes before the first.
    const times = COUNTS[cycle] * (rounds + 0.25);
    for (const [labels, { runs, seconds }] of after) {
      const ran = runs - (before.get(labels)?.runs ?? 0);
      if (ran < times / 20) continue;
      const { probe = "", program = "" } = labelsOf(labels);
      const instructionsPerRun = ((seconds - (before.get(labels)?.seconds ?? 0)) / ran) * 1e9;
      costs.push({ cycle, probe, program, runs: ran / times, instructionsPerRun });
    }
  }
  await stopDaemon(daemon);
  return costs;
}

async function programStats(url: string): Promise<Map<string, { runs: number; seconds: number }>> {
  const read = await scrape(url);
  const seconds = read("tuplewatch_program_run_seconds_total");
  return new Map(
    [...read("tuplewatch_program_runs_total")].map(([labels, runs]) => [
      labels,
      { runs, seconds: seconds.get(labels) ?? 0 },
    ]),
  );
}

async function main(): Promise<void> {
  const [, , plan = "full", programs] = process.argv;
  makeNat();
  const nginx = startNginx();
  const results: SetupResult[] = [];
  for (const setup of plan === "quick" ? QUICK_PLAN : FULL_PLAN) {
    process.stderr.write(`instructions: ${setup.name}\n`);
    const result = await beside(setup, async (daemon) => ({
      name: setup.name,
      measured: setup.cycles.map(measure),
      // Only now, for a scrape has consequences, such as a scan of ports.
      attached: await attachedTo(daemon),
      programs: [],
    }));
    const isAsked = setup.name === ALL_PROBES && programs === "programs";
    results.push({ ...result, programs: isAsked ? await programCosts(setup.cycles) : [] });
  }
  nginx.child.kill("SIGTERM");
  const kernel = process.env.GUEST_KERNEL ?? "";
  process.stdout.write(`${JSON.stringify({ kernel, setups: results })}\n`);
}

await main();
