import { connect, type Socket } from "node:net";
import { setTimeout as sleep } from "node:timers/promises";
import { fileURLToPath } from "node:url";
import { servingPid, start, startDaemonProcess } from "../support/commands.ts";
import { parseNdjson } from "../support/events.ts";
import { metric } from "../support/feed.ts";
import { until } from "../support/until.ts";
import { latencyFigures, scrapeAll } from "./scrapes.ts";
import type { Figure } from "./statistics.ts";

const STREAMS = 199;
const RATE = 20_000;
const SECONDS = 20;
const WARM_UP_MS = 2000;
const SCRAPES = 400;

const READERS = fileURLToPath(new URL("./stream-readers.js", import.meta.url));
const DAEMON = ["--max-clients", "256", "--max-events-per-second", "0"];

/**
 * Latency of scrapes while a real daemon sees 20,000 real connections a second and 200 streams are
 * open: one does not read, the others read everything, or look for what never comes.
 */
export async function benchStreams(): Promise<Figure[]> {
  return [
    ...(await measure("the silent stream alone", 0)),
    ...(await measure("and 199 for all events", STREAMS, "/events")),
    ...(await measure("and 199 filtered", STREAMS, "/events?result=EADDRNOTAVAIL")),
  ];
}

async function measure(name: string, streams: number, path = "/events"): Promise<Figure[]> {
  const daemon = await startDaemonProcess(DAEMON);
  const { port } = new URL(daemon.url);
  const target = { url: daemon.url, pid: servingPid(daemon) };
  const readers = start(process.execPath, [READERS, port, String(streams), path]);
  const silent = openSilent(Number(port));
  try {
    const allOpen = () => streams === 0 || readers.stdout().includes("open");
    await until(allOpen, "all streams are open");
    const load = start("build/bench/connects", [String(RATE * SECONDS), String(RATE)]);
    await sleep(WARM_UP_MS);
    const before = await totals(daemon.url);
    const startedAt = performance.now();
    const took = await scrapeAll(target, SCRAPES, 20);
    const after = await totals(daemon.url);
    const seconds = (performance.now() - startedAt) / 1000;
    await load.done;
    await sleep(1000);
    if (readers.stdout().includes("closed")) throw new Error("a reader was cut");
    const per = (key: keyof Totals) => (after[key] - before[key]) / seconds;
    return [
      ...latencyFigures(name, took, 100),
      { name: `${name}: into the journal`, value: per("appended"), unit: "events/s" },
      { name: `${name}: lost in the kernel ring`, value: per("lost"), unit: "events/s" },
      { name: `${name}: to all readers`, value: per("sent"), unit: "events/s" },
      { name: `${name}: missed by all readers`, value: per("missed"), unit: "events/s" },
      ...(await readSilent(silent, name)),
    ];
  } finally {
    silent.destroy();
    readers.child.kill("SIGKILL");
    await readers.done;
    daemon.child.kill("SIGTERM");
    await daemon.done;
  }
}

interface Totals {
  readonly appended: number;
  readonly lost: number;
  readonly sent: number;
  readonly missed: number;
}

async function totals(url: string): Promise<Totals> {
  const sum = async (name: string) =>
    [...(await metric(url, name)).values()].reduce((total, value) => total + value, 0);
  return {
    appended: await sum("tuplewatch_journal_appended_total"),
    lost: await sum("tuplewatch_events_lost_total"),
    sent: await sum("tuplewatch_stream_events_sent_total"),
    missed: await sum("tuplewatch_stream_events_dropped_total"),
  };
}

function openSilent(port: number): Socket {
  const socket = connect({ port, host: "127.0.0.1" });
  socket.pause();
  socket.write("GET /events?since=0 HTTP/1.0\r\nHost: localhost\r\n\r\n");
  return socket;
}

/** What the silent client finds when it reads at last: each seq once, in an event or a gap. */
async function readSilent(socket: Socket, name: string): Promise<Figure[]> {
  const chunks: Buffer[] = [];
  socket.on("data", (chunk) => chunks.push(chunk));
  socket.resume();
  for (let seen = -1; seen !== chunks.length; await sleep(1000)) seen = chunks.length;
  const text = Buffer.concat(chunks).toString();
  const lines = text.slice(text.indexOf("\r\n\r\n") + 4, text.lastIndexOf("\n") + 1);
  const events = parseNdjson(lines);
  let next = 1;
  let missed = 0;
  for (const { seq, from_seq: from, missed: count = 0 } of events) {
    if (seq === undefined && from === undefined) continue;
    if ((seq ?? from) !== next)
      throw new Error(`the silent client got ${seq ?? from}, not ${next}`);
    next += seq === undefined ? count : 1;
    missed += seq === undefined ? count : 0;
  }
  if (missed === 0) throw new Error("the silent client was told of no gap");
  return [{ name: `${name}: told to the silent client as a gap`, value: missed, unit: "events" }];
}
