import { mkdtempSync, readFileSync, rmSync, writeFileSync } from "node:fs";
import { createServer } from "node:net";
import { tmpdir } from "node:os";
import { join } from "node:path";
import { setTimeout as sleep } from "node:timers/promises";
import { fileURLToPath } from "node:url";
import { type Finished, type Limit, start } from "./commands.ts";
import { RULES_FILE } from "./dashboards.ts";
import { until } from "./until.ts";

/** Debian's package, which the set-up unpacks. */
const TOOLS = fileURLToPath(new URL("../../tools/usr/bin/", import.meta.url));

/** An emulated guest reads a program of 100 MB slowly. */
const START_LIMIT_MS = 120_000;

/** Asking all the time would take the CPU that the answer needs. */
const POLL_MS = 250;

export function promtool(args: readonly string[], input = ""): Promise<Finished> {
  return start(`${TOOLS}promtool`, args, {}, input).done;
}

export interface Sample {
  readonly metric: Readonly<Record<string, string>>;
  /** Time in seconds, and the value as text. */
  readonly value: readonly [number, string];
}

export interface FiringAlert {
  readonly labels: Readonly<Record<string, string>>;
  readonly annotations: Readonly<Record<string, string>>;
  readonly state: "pending" | "firing";
}

/** A Prometheus of the test's own, which scrapes one daemon and evaluates our rules. */
export interface RunningPrometheus {
  /** Values now. */
  query(expr: string): Promise<Sample[]>;
  /** Number of points of each series over the last seconds. */
  range(expr: string, seconds: number): Promise<number[]>;
  alerts(): Promise<FiringAlert[]>;
  /** Waits until an alert has a state. */
  untilAlert(name: string, state: FiringAlert["state"], limitMs: number): Promise<void>;
  stop(): Promise<void>;
}

export async function startPrometheus(
  daemonUrl: string,
  scrapeSeconds: number,
  limit: Limit = {},
): Promise<RunningPrometheus> {
  const directory = mkdtempSync(join(tmpdir(), "prometheus-"));
  const port = await freePort();
  writeFileSync(join(directory, "prometheus.yml"), configuration(daemonUrl, scrapeSeconds));
  writeFileSync(join(directory, "rules.yaml"), readFileSync(RULES_FILE));
  const url = `http://127.0.0.1:${port}`;
  const prometheus = start(
    `${TOOLS}prometheus`,
    [
      `--config.file=${join(directory, "prometheus.yml")}`,
      `--storage.tsdb.path=${join(directory, "data")}`,
      `--web.listen-address=127.0.0.1:${port}`,
      "--log.level=warn",
    ],
    {},
    "",
    limit,
  );
  const get = async <T>(path: string): Promise<T> => {
    const response = await fetch(url + path);
    const body = (await response.json()) as { status: string; error?: string; data: T };
    if (body.status !== "success") throw new Error(`${path}: ${body.error}`);
    return body.data;
  };
  const isUp = async () => {
    await sleep(POLL_MS);
    if (prometheus.child.exitCode !== null) throw new Error(prometheus.stderr());
    return fetch(`${url}/-/ready`).then(
      ({ ok }) => ok,
      () => false,
    );
  };
  await until(isUp, "Prometheus is ready", START_LIMIT_MS);
  const alerts = async () => (await get<{ alerts: FiringAlert[] }>("/api/v1/alerts")).alerts;
  return {
    query: async (expr) => {
      const query = new URLSearchParams({ query: expr });
      return (await get<{ result: Sample[] }>(`/api/v1/query?${query}`)).result;
    },
    range: async (expr, seconds) => {
      const end = Date.now() / 1000;
      const query = new URLSearchParams({
        query: expr,
        start: String(end - seconds),
        end: String(end),
        step: String(scrapeSeconds),
      });
      const { result } = await get<{ result: { values: unknown[] }[] }>(
        `/api/v1/query_range?${query}`,
      );
      return result.map(({ values }) => values.length);
    },
    alerts,
    untilAlert: async (name, state, limitMs) => {
      const isSo = async () => {
        await sleep(POLL_MS);
        const all = await alerts();
        return all.some(({ labels, state: is }) => labels.alertname === name && is === state);
      };
      await until(isSo, `${name} is ${state}`, limitMs);
    },
    stop: async () => {
      prometheus.child.kill("SIGTERM");
      await prometheus.done;
      rmSync(directory, { recursive: true });
    },
  };
}

function configuration(daemonUrl: string, scrapeSeconds: number): string {
  return `global:
  scrape_interval: ${scrapeSeconds}s
  evaluation_interval: ${scrapeSeconds}s
rule_files: [rules.yaml]
scrape_configs:
  - job_name: tuplewatch
    static_configs:
      - targets: ["${new URL(daemonUrl).host}"]
`;
}

/** Prometheus does not tell which port it was given. */
function freePort(): Promise<number> {
  return new Promise((resolve, reject) => {
    const server = createServer();
    server.on("error", reject);
    server.listen(0, "127.0.0.1", () => {
      const address = server.address();
      const port = typeof address === "object" && address !== null ? address.port : 0;
      server.close(() => resolve(port));
    });
  });
}
