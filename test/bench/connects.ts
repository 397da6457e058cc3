import { execFileSync } from "node:child_process";
import { startDaemonProcess } from "../support/commands.ts";
import { type Figure, median } from "./statistics.ts";

const ROUNDS = 7;
const CONNECTS = 6000;
/** Below the daemon's limit of events: above it most connections cost less than an event. */
const RATE = 3000;

/**
 * CPU of a loopback connection, both its ends, without and with the daemon, in turn, so that drift
 * cancels out. The daemon's own is in `events`.
 */
export async function benchConnects(): Promise<Figure[]> {
  const without: number[] = [];
  const with_: number[] = [];
  const failedOnly: number[] = [];
  for (let round = 0; round < ROUNDS; round++) {
    without.push(measure());
    with_.push(await withDaemon([]));
    failedOnly.push(await withDaemon(["--connect-events", "failed"]));
  }
  const ratio = (values: number[]) => median(values.map((value, i) => value / (without[i] ?? 0)));
  const unit = "ns CPU per connection";
  return [
    { name: "connect: without the daemon", value: median(without), unit },
    { name: "connect: with it", value: median(with_), unit },
    { name: "connect: with it / without", value: ratio(with_), unit: "", aim: "<= 1.02" },
    {
      name: "connect: with --connect-events failed / without",
      value: ratio(failedOnly),
      unit: "",
    },
  ];
}

async function withDaemon(args: readonly string[]): Promise<number> {
  const daemon = await startDaemonProcess(args);
  try {
    return measure();
  } finally {
    daemon.child.kill("SIGTERM");
    await daemon.done;
  }
}

/** ns per connection, after a short warm-up. */
function measure(): number {
  connect(RATE);
  return connect(CONNECTS);
}

function connect(count: number): number {
  const args = [String(count), String(RATE)];
  return Number(execFileSync("build/bench/connects", args, { encoding: "utf8" }));
}
