import type { EventBatch, TuplewatchEvent } from "../events/event.ts";
import type { Probe } from "../probes/probe.ts";
import { recordTypeAt } from "../probes/record-type.ts";
import { NS_PER_MS } from "../util/units.ts";
import { formatHead, nameParticipant } from "./head.ts";
import type { ParticipantNames } from "./participant-names.ts";
import type { RecordCopy } from "./record-copy.ts";

/** Memory of a batch's objects and of each name, beside the records' bytes. */
const BATCH_OVERHEAD_BYTES = 512;
const NAME_BYTES = 48;

/**
 * Records copied out of a ring, undecoded. They become objects when somebody reads them, and never
 * if nobody does.
 */
export class RecordEvents implements EventBatch {
  readonly probe: string;
  readonly count: number;
  readonly byteLength: number;
  readonly #probe: Probe;
  readonly #copy: RecordCopy;
  readonly #names: readonly ParticipantNames[];
  readonly #wallClockOffsetNs: bigint;

  /** `names`: by the numbers that the copy has. */
  constructor(
    probe: Probe,
    copy: RecordCopy,
    names: readonly ParticipantNames[],
    wallClockOffsetNs: bigint,
  ) {
    this.probe = probe.name;
    this.count = copy.count;
    this.byteLength = BATCH_OVERHEAD_BYTES + copy.byteLength + NAME_BYTES * names.length;
    this.#probe = probe;
    this.#copy = copy;
    this.#names = names;
    this.#wallClockOffsetNs = wallClockOffsetNs;
  }

  event(index: number, seq: number): TuplewatchEvent {
    return this.#decode(index, seq).event;
  }

  /** The event with its time since the machine booted. */
  observed(index: number, seq: number): TuplewatchEvent & { readonly atMs: number } {
    const { event, timeNs } = this.#decode(index, seq);
    return { ...event, atMs: Number(timeNs) / NS_PER_MS };
  }

  #decode(index: number, seq: number): { event: TuplewatchEvent; timeNs: bigint } {
    const { views } = this.#copy;
    const at = this.#copy.offsetOf(index);
    const recordType = recordTypeAt(this.#probe, views, at);
    const { type, head, body } = recordType.decode(views, at);
    for (const [place, participant] of recordType.participants.entries()) {
      nameParticipant(participant.find(body), this.#namesOf(index, 1 + place));
    }
    const origin = {
      probe: this.probe,
      names: this.#namesOf(index, 0),
      wallClockOffsetNs: this.#wallClockOffsetNs,
    };
    return { event: { seq, ...formatHead(head, type, origin), ...body }, timeNs: head.timeNs };
  }

  #namesOf(index: number, place: number): ParticipantNames {
    return this.#names[this.#copy.nameOf(index, place)] ?? {};
  }
}
