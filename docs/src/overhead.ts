import { readFileSync } from "node:fs";
import { fileURLToPath } from "node:url";
import { code, table } from "./markdown.ts";

/** What `npm run bench -- instructions --save` writes: see test/bench/instructions/plan.ts. */
interface Measured {
  readonly kernel: string;
  readonly setups: readonly {
    readonly name: string;
    readonly attached: Readonly<Record<string, string>>;
    readonly measured: readonly { readonly cycle: string; readonly instructions: number }[];
    readonly programs: readonly {
      readonly cycle: string;
      readonly probe: string;
      readonly program: string;
      readonly runs: number;
      readonly instructionsPerRun: number;
    }[];
  }[];
}

const DATA = new URL("../../../docs/overhead.json", import.meta.url);
const NOTHING = "nothing";

const CYCLES: Readonly<Record<string, string>> = {
  tcp_ok: "TCP connect, accept, close",
  tcp_refused: "TCP connect, refused",
  udp_connect: "UDP connect, close",
  udp_nat: "UDP connect, send, close behind NAT",
  pingpong: "100 bytes there and back",
  http_keepalive: "HTTP request, kept connection",
  http_new: "HTTP request, new connection",
};

function read(): readonly Measured[] {
  return JSON.parse(readFileSync(fileURLToPath(DATA), "utf8")) as readonly Measured[];
}

/** One table for each kernel: what each cycle costs alone, and its multiples beside the rest. */
export function instructionTables(): string {
  return read().map(cycleTable).join("\n");
}

function cycleTable({ kernel, setups }: Measured): string {
  const names = Object.keys(CYCLES);
  const alone = new Map(of(setups, NOTHING).map((one) => [one.cycle, one.instructions]));
  const rows = setups.map(({ name, measured }) => [
    name,
    ...names.map((cycle) => {
      const found = measured.find((one) => one.cycle === cycle)?.instructions;
      if (found === undefined) return "";
      const ratio = found / (alone.get(cycle) ?? Number.NaN);
      return name === NOTHING ? Math.round(found).toLocaleString("en") : ratio.toFixed(3);
    }),
  ]);
  return `Linux ${kernel}:\n\n${table(["", ...names.map((name) => CYCLES[name] ?? name)], rows)}`;
}

function of(setups: Measured["setups"], name: string) {
  return setups.find((one) => one.name === name)?.measured ?? [];
}

/** Runs and instructions of each program per cycle, on the first kernel. */
export function programTable(): string {
  const [first] = read();
  const programs = first?.setups.flatMap((setup) => setup.programs) ?? [];
  const rows = programs.map(({ cycle, probe, program, runs, instructionsPerRun }) => [
    CYCLES[cycle] ?? cycle,
    code(probe),
    code(program),
    runs.toFixed(2),
    Math.round(instructionsPerRun).toLocaleString("en"),
  ]);
  return table(["cycle", "probe", "program", "runs", "instructions per run"], rows);
}
