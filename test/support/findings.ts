import type { CensusAnswer, CensusQuestion, Environment } from "../../src/findings/detector.ts";
import { FindingEngine } from "../../src/findings/engine.ts";
import type { FindingJson, FindingKind } from "../../src/findings/finding.ts";
import type { Endpoint, ObservedEvent, Tuple } from "../../src/findings/observed.ts";

export const NETNS = { cookie: "4127", inum: 4026532321, name: "web" };
export const PROCESS = { pid: 812, comm: "crawler", uid: 1000 };
const START_MS = Date.parse("2026-03-14T15:09:26Z");
export const QUIET_MS = 300_000;

export interface SceneOptions {
  readonly census?: (question: CensusQuestion) => CensusAnswer | undefined;
  readonly table?: ReturnType<Environment["conntrackTable"]>;
}

/** An engine with all detectors, its clock in the test's hand, and all that it told. */
export class Scene {
  readonly engine: FindingEngine;
  readonly emitted: FindingJson[] = [];
  readonly opened: string[] = [];
  readonly closed: string[] = [];
  readonly questions: CensusQuestion[] = [];
  nowMs = START_MS;
  #seq = 0;

  constructor({ census, table }: SceneOptions = {}) {
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
      environment: { conntrackTable: () => table },
      nowMs: () => this.nowMs,
      ...(census !== undefined && {
        census: {
          ask: async (question) => {
            this.questions.push(question);
            return census(question);
          },
        },
      }),
    });
  }

  /** An event now, as a probe would describe it. Returns its seq. */
  take(type: string, fields: object): number {
    const seq = ++this.#seq;
    const time = new Date(this.nowMs).toISOString().replace("Z", "000000Z");
    const head = { seq, time, type, netns: NETNS, attribution: "current", process: PROCESS };
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

/** All text of a finding's remedies. */
export function commands({ remedies }: FindingJson): string {
  return remedies.flatMap((remedy) => [remedy.summary, ...remedy.commands]).join("\n");
}
