import { execFileSync } from "node:child_process";
import { mkdtempSync, rmSync } from "node:fs";
import { type BpfMap, OpenObject, type Program, RecordBatch, RingBuffer } from "libbpf-ts";
import { connectEventColumnCount, decodeConnectEventColumns } from "../../src/events/events.gen.ts";
import { type Figure, median } from "./statistics.ts";

const ROUNDS = 9;
const PASSES = 15;
const BATCH = 2048;
const RECORDS_PER_RUN = 512;

/** What one pass over the ring took. */
interface Pass {
  readonly ns: number;
  readonly records: number;
}

/**
 * Header walk and decode of ten fields, in TypeScript and in C, over the same records in turn, and
 * how fast one core produces them. What an event costs from the ring to the journal is in `intake`
 * and `events`.
 */
export function benchRing(): Figure[] {
  const loaded = OpenObject.openFile("build/bench/ring.bpf.o").load();
  const directory = mkdtempSync("/sys/fs/bpf/tw-bench-");
  const map = loaded.map("ring");
  const pin = `${directory}/ring`;
  map.pin(pin);
  try {
    const produced = fill(loaded.program("produce"));
    const rates = new Map<string, number[]>();
    const note = (name: string, pass: Pass) => {
      rates.set(name, [...(rates.get(name) ?? []), rate(pass)]);
    };
    for (let round = 0; round < ROUNDS; round++) {
      for (const kind of ["walk", "decode"] as const) {
        note(`ts ${kind}`, best(Array.from({ length: PASSES }, () => consume(map, kind))));
        note(`c ${kind}`, best(consumeInC(pin, kind)));
      }
    }
    const of = (name: string) => median(rates.get(name) ?? []);
    return figures(of, rate(produced), ratios(rates, "walk"), ratios(rates, "decode"));
  } finally {
    rmSync(directory, { recursive: true });
    loaded.close();
  }
}

function figures(
  of: (name: string) => number,
  produced: number,
  walk: number,
  decode: number,
): Figure[] {
  const unit = "M records/s";
  return [
    { name: "ring: produced by one core", value: produced, unit },
    { name: "ring: header walk, TypeScript", value: of("ts walk"), unit },
    { name: "ring: header walk, C", value: of("c walk"), unit },
    { name: "ring: header walk, TypeScript / C", value: walk, unit: "", aim: ">= 0.9" },
    { name: "ring: ten fields decoded, TypeScript", value: of("ts decode"), unit },
    { name: "ring: ten fields decoded, C", value: of("c decode"), unit },
    { name: "ring: decode, TypeScript / C", value: decode, unit: "" },
    {
      name: "ring: decode, TypeScript / produced",
      value: of("ts decode") / produced,
      unit: "",
      aim: ">= 2",
    },
  ];
}

/** Median of the rounds' own ratios: noise that lasts longer than a round cancels out. */
function ratios(rates: ReadonlyMap<string, number[]>, kind: string): number {
  const peer = rates.get(`c ${kind}`) ?? [];
  return median((rates.get(`ts ${kind}`) ?? []).map((own, round) => own / (peer[round] ?? 0)));
}

function rate({ ns, records }: Pass): number {
  return (records / ns) * 1000;
}

/** The fastest: whatever made others slower was not the code. */
function best(passes: readonly Pass[]): Pass {
  return passes.reduce((fastest, pass) => (rate(pass) > rate(fastest) ? pass : fastest));
}

/** Fills the ring but for its last few records, and tells how long that took. */
function fill(program: Program): Pass {
  const data = new Uint8Array(64);
  const runs = 160;
  const from = process.hrtime.bigint();
  program.testRun({ data, repeat: runs });
  return { ns: Number(process.hrtime.bigint() - from), records: runs * RECORDS_PER_RUN };
}

const batch = new RecordBatch(BATCH);
const rows = new Float64Array(BATCH * connectEventColumnCount);

/** Reads all records and gives none back, so that the next pass finds them again. */
const consume = (map: BpfMap, kind: "walk" | "decode"): Pass => {
  const ring = RingBuffer.map(map);
  const { views } = ring;
  touch(views.u8.subarray(0, ring.fill()));
  let records = 0;
  const from = process.hrtime.bigint();
  for (;;) {
    const count = ring.take(batch);
    if (count === 0) break;
    if (kind === "decode") decodeConnectEventColumns(views, batch.offsets, count, rows);
    records += count;
  }
  const ns = Number(process.hrtime.bigint() - from);
  ring.close();
  return { ns, records };
};

const CACHE_LINE_BYTES = 64;

/**
 * A fresh mapping has no pages yet, and finding each at its first read would be most of the time.
 * Of the passes in C, which share a mapping, only the first meets that.
 */
function touch(bytes: Uint8Array): void {
  for (let at = 0; at < bytes.length; at += CACHE_LINE_BYTES) Atomics.load(bytes, at);
}

function consumeInC(pin: string, kind: string): Pass[] {
  const args = [pin, kind, String(PASSES)];
  const text = execFileSync("build/bench/consume", args, { encoding: "utf8" });
  return text
    .trim()
    .split("\n")
    .map((line) => {
      const [ns = 0, records = 0] = line.split(" ").map(Number);
      return { ns, records };
    });
}
