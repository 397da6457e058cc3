import { fileURLToPath } from "node:url";
import { servingPid, start, startDaemonProcess } from "../support/commands.ts";
import { metric } from "../support/feed.ts";
import { until } from "../support/until.ts";
import { latencyFigures, scrapeAll } from "./scrapes.ts";
import type { Figure } from "./statistics.ts";

const SILENT = 1000;
const SLOW = 500;
const SCRAPES = 600;
const PAUSE_MS = 25;

const CLIENTS = fileURLToPath(new URL("./slow-clients.js", import.meta.url));

/** Latency of scrapes beside 1,500 clients that hold a connection open and ask nothing. */
export async function benchSlowloris(): Promise<Figure[]> {
  const daemon = await startDaemonProcess();
  const { port } = new URL(daemon.url);
  const target = { url: daemon.url, pid: servingPid(daemon) };
  try {
    const alone = await scrapeAll(target, SCRAPES / 4, PAUSE_MS);
    const clients = start(process.execPath, [CLIENTS, port, String(SILENT), String(SLOW)]);
    try {
      await until(() => clients.stdout().includes("open"), "all connections are open");
      const beside = await scrapeAll(target, SCRAPES, PAUSE_MS);
      const cut = await metric(daemon.url, "tuplewatch_http_connections_cut_total");
      return [
        ...latencyFigures("nobody else", alone),
        ...latencyFigures(`${SILENT} silent and ${SLOW} slow clients`, beside, 200),
        { name: "connections cut meanwhile", value: sumOf(cut), unit: "" },
      ];
    } finally {
      clients.child.kill("SIGKILL");
      await clients.done;
    }
  } finally {
    daemon.child.kill("SIGTERM");
    await daemon.done;
  }
}

function sumOf(values: ReadonlyMap<string, number>): number {
  return [...values.values()].reduce((sum, value) => sum + value, 0);
}
