import type { FindingKind } from "../../src/events/finding-kinds.ts";
import type { Environment } from "../../src/findings/detector.ts";
import { FindingEngine } from "../../src/findings/engine.ts";
import type { FindingJson } from "../../src/findings/finding.ts";
import type { LocateNetns } from "../../src/findings/locate-netns.ts";
import type { Endpoint, ObservedEvent, Tuple } from "../../src/findings/observed.ts";
import type { PortQuery, PortQueryResult } from "../../src/ports/query.ts";

export const NETNS = { cookie: "4127", inum: 4026532321, name: "web" };
export const PROCESS = { pid: 812, comm: "crawler", uid: 1000 };
const START_MS = Date.parse("2026-03-14T15:09:26Z");
export const QUIET_MS = 300_000;

/** Each namespace that has a name has it from ip-netns(8). */
const byName: LocateNetns = (netns) => ({ ...netns, ipNetnsName: netns?.name });

export interface SceneOptions {
  readonly place?: LocateNetns;
  readonly queryPorts?: (
    query: PortQuery,
  ) => PortQueryResult | undefined | Promise<PortQueryResult | undefined>;
  readonly table?: ReturnType<Environment["conntrackTable"]>;
}

/** An engine with all detectors, its clock in the test's hand, and all that it told. */
export class Scene {
  readonly engine: FindingEngine;
  readonly emitted: FindingJson[] = [];
  readonly opened: string[] = [];
  readonly closed: string[] = [];
  readonly portQueries: PortQuery[] = [];
  nowMs = START_MS;
  #seq = 0;

  constructor({ queryPorts, table, place = byName }: SceneOptions = {}) {
    this.engine = new FindingEngine({
      sink: {
        emit: (finding) => void this.emitted.push(finding),
        opened: ({ id }) => void this.opened.push(id),
        closed: ({ id }) => void this.closed.push(id),
        failed: (operation, error) => {
          throw new Error(operation, { cause: error });
        },
      },
      quietMs: QUIET_MS,
      environment: { conntrackTable: () => table, locateNetns: place },
      clock: { nowMs: () => this.nowMs, wallMs: (atMs) => atMs },
      ...(queryPorts !== undefined && {
        queryPorts: async (query) => {
          this.portQueries.push(query);
          return queryPorts(query);
        },
      }),
    });
  }

  /** An event now, as a probe would describe it. Returns its seq. */
  take(type: string, fields: object): number {
    const seq = ++this.#seq;
    const time = new Date(this.nowMs).toISOString().replace("Z", "000000Z");
    const head = {
      seq,
      atMs: this.nowMs,
      time,
      type,
      netns: NETNS,
      attribution: "current",
      process: PROCESS,
    };
    this.engine.take({ ...head, ...fields } as ObservedEvent);
    return seq;
  }

  /** Lets `ms` pass, a second at a time, as the daemon's timer does. */
  wait(ms: number): void {
    const endMs = this.nowMs + ms;
    while (this.nowMs < endMs) {
      this.nowMs = Math.min(endMs, this.nowMs + 1000);
      this.engine.tick();
    }
  }

  /** Lets answers arrive. */
  async settle(): Promise<void> {
    await new Promise((resolve) => setImmediate(resolve));
  }

  get kinds(): FindingKind[] {
    return this.engine.findings().map(({ kind }) => kind);
  }

  /** The only finding. */
  get only(): FindingJson {
    const [finding, ...others] = this.engine.findings();
    if (finding === undefined || others.length > 0) {
      throw new Error(`expected one finding: ${JSON.stringify(this.kinds)}`);
    }
    return finding;
  }
}

export function endpoint(text: string): Endpoint {
  const at = text.lastIndexOf(":");
  return {
    address: text.slice(0, at).replace(/^\[(.*)\]$/, "$1"),
    port: Number(text.slice(at + 1)),
  };
}

/** `10.0.0.1:1024 > 10.0.0.2:53` */
export function tuple(text: string): Tuple {
  const [src = "", dst = ""] = text.split(" > ");
  return { src: endpoint(src), dst: endpoint(dst) };
}

/** A connect event's own fields: over IPv4 TCP, and well. */
export function connectFields(more: object = {}): object {
  return {
    socket_cookie: "90417",
    protocol: "tcp",
    family: "ipv4",
    peer: endpoint("10.0.0.7:443"),
    result: "ok",
    duration_ns: 24_816,
    syn_retransmits: 0,
    technique: "plain",
    ...more,
  };
}

/** A port_bind event's own fields: bind() to port 0 that found none. */
export function portBindFields(more: object = {}): object {
  return {
    protocol: "tcp",
    family: "ipv4",
    local: { address: "10.0.0.1" },
    result: "EADDRINUSE",
    technique: "any_port",
    ...more,
  };
}

/** What a count of ports found: by default a range of 100 that is full. */
export function portAnswer(more: Partial<PortQueryResult> = {}): PortQueryResult {
  return {
    range: { low: 30_000, high: 30_099, available: 100 },
    taken: { total: 100, towards: 100, locked: 0, waiting: 0 },
    holders: [],
    lockers: [],
    sockets: [],
    settings: { twReuse: 0, timestamps: 1 },
    ...more,
  };
}

/** All text of a finding's remedies. */
export function commands({ remedies }: FindingJson): string {
  return remedies
    .flatMap(({ summary, commands: lines, snippets = [] }) => [summary, ...lines, ...snippets])
    .join("\n");
}

/** What the findings say of these events, `port_bind` those without a peer, after a look at the ports. */
export async function sceneOf(
  found: PortQueryResult | undefined,
  ...events: object[]
): Promise<Scene> {
  const scene = new Scene({ queryPorts: () => found });
  for (const event of events) {
    const isBind = !("peer" in event);
    scene.take(isBind ? "port_bind" : "connect", event);
  }
  await scene.settle();
  return scene;
}
