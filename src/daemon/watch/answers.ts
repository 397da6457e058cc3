import type { KernelAnswer, ScanAnswer, StateAnswer } from "../../channel/answers.ts";
import type { Question, QuestionKind } from "../../channel/questions.ts";
import { formatAddress, formatNetns } from "../../events/fields.ts";
import { createLocateNetns } from "../../findings/locate-netns.ts";
import { findNamespaces } from "../../kernel/namespaces.ts";
import { LocalNetnsResolver, type NetnsAnswer } from "../../names/netns-resolver.ts";
import type { PortLedger } from "../../ports/ledger.ts";
import { type PortQuery, queryPorts } from "../../ports/query.ts";
import { portReport } from "../../ports/report.ts";
import type { PortSampler } from "../../ports/sampler.ts";
import { LruMap } from "../../util/lru.ts";

export interface AnswerSources {
  readonly state: () => StateAnswer;
  readonly kernel: () => KernelAnswer;
  readonly sampler: PortSampler;
  readonly ledger: PortLedger;
  /** Whether somebody wants connects that went as they should. */
  readonly onOrdinary: (wanted: boolean) => void;
  /** The serving process lives. */
  readonly onAlive: (events: number, findings: number) => void;
}

const IPPROTO_TCP = 6;
const MAX_KNOWN_NAMES = 8192;

/** What is work: one of each at a time, whatever is asked. */
const ONE_AT_A_TIME: readonly QuestionKind[] = ["namespaces", "report", "use"];

/** Answers what the serving process may know, from what only this one may look at. */
export class Answers {
  readonly #sources: AnswerSources;
  readonly #resolver = new LocalNetnsResolver();
  readonly #locate = createLocateNetns();
  /** What was answered to `netns`, for `confirm`. */
  readonly #names = new LruMap<string, NetnsAnswer>(MAX_KNOWN_NAMES);
  readonly #busy = new Set<QuestionKind>();

  constructor(sources: AnswerSources) {
    this.#sources = sources;
  }

  /** To `netns`, `confirm` and `place`, for which the asker waits. @throws Error */
  answerNow(question: Question): unknown {
    const { cookie, inum = 0, pids = [] } = question;
    const [pid = 0] = pids;
    const netns = { cookie: cookie === undefined ? undefined : Number(cookie), inum, pid };
    const key = `${cookie ?? ""} ${inum}`;
    if (question.kind === "place") return this.#locate(formatNetns(cookie ?? 0n, inum), pids);
    if (question.kind === "confirm") {
      const known = this.#names.get(key);
      return known !== undefined && this.#resolver.confirm(netns, known);
    }
    const answer = this.#resolver.resolve(netns);
    if (answer !== undefined) this.#names.set(key, answer);
    return answer;
  }

  /** To the others; undefined: to none. @throws Error */
  async answer(question: Question): Promise<unknown> {
    const { kind } = question;
    if (!ONE_AT_A_TIME.includes(kind)) return this.#answer(question);
    if (this.#busy.has(kind)) throw new Error(`another question of kind ${kind} is being answered`);
    this.#busy.add(kind);
    try {
      return await this.#answer(question);
    } finally {
      this.#busy.delete(kind);
    }
  }

  async #answer(question: Question): Promise<unknown> {
    switch (question.kind) {
      case "alive":
        return this.#sources.onAlive(Number(question.cookie ?? 0n), question.inum ?? 0);
      case "ordinary":
        return this.#sources.onOrdinary(question.inum === 1);
      case "state":
        return this.#sources.state();
      case "kernel":
        return this.#sources.kernel();
      case "scan":
        return this.#scan(question.inum ?? 0);
      case "namespaces":
        return (await findNamespaces()).namespaces;
      case "report":
        return portReport(
          { ...identityOf(question), ...protocolOf(question) },
          this.#sources.ledger,
        );
      case "use":
        return this.#use(question);
      default:
        throw new Error(`${question.kind} is not asked here`);
    }
  }

  /** To copy the ports of 256 namespaces takes some milliseconds on both sides: once for each scan. */
  async #scan(known: number): Promise<ScanAnswer> {
    const { sampler } = this.#sources;
    const latest = await sampler.latest();
    const { scans: number, ageMs, failures } = sampler;
    return { number, scan: number === known ? undefined : latest, ageMs, failures };
  }

  #use(question: Question): Promise<unknown> {
    const { cookie, inum = 0, pids, protocol, peer, port, range, atMs } = question;
    const query: PortQuery = {
      key: "",
      netns: formatNetns(cookie ?? 0n, inum),
      pid: pids?.[0],
      protocol: protocol === IPPROTO_TCP ? "tcp" : "udp",
      ...(peer !== undefined && {
        peer: { address: formatAddress(peer.address), port: peer.port },
      }),
      ...(port !== undefined && { port }),
      ...(range !== undefined && { range }),
      ...(atMs !== undefined && { failedAtMs: atMs }),
    };
    return queryPorts(query, this.#sources.ledger);
  }
}

function identityOf({ cookie, inum }: Question): { netns?: string } {
  const identity = cookie ?? inum;
  return identity === undefined ? {} : { netns: String(identity) };
}

function protocolOf({ protocol }: Question): { protocol?: "tcp" | "udp" } {
  return protocol === undefined ? {} : { protocol: protocol === IPPROTO_TCP ? "tcp" : "udp" };
}
