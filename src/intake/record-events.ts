import { type RecordViews, recordViews } from "libbpf-ts";
import type { RingRecords } from "../attach/drain.ts";
import type { EventBatch, TuplewatchEvent } from "../events/event.ts";
import type { Probe } from "../probes/probe.ts";
import { recordTypeAt } from "../probes/record-type.ts";
import { NS_PER_MS } from "../util/units.ts";
import { formatHead, type Names, nameParticipant } from "./head.ts";

/** Memory of a batch and of each record in it, beside the records' bytes. */
const BATCH_OVERHEAD_BYTES = 1024;
const RECORD_OVERHEAD_BYTES = 64;

/**
 * Records copied out of a ring, in one piece and undecoded. They become objects when somebody
 * reads them, and never if nobody does.
 */
export class RecordEvents implements EventBatch {
  readonly probe: string;
  readonly count: number;
  readonly byteLength: number;
  readonly #probe: Probe;
  readonly #bytes: Uint8Array<ArrayBuffer>;
  readonly #offsets: Int32Array;
  readonly #names: readonly Names[];
  readonly #wallClockOffsetNs: bigint;
  #views: RecordViews | undefined;

  /** `names`: one for each record, noted when it was read, since later they may be gone. */
  constructor(records: RingRecords, names: readonly Names[], wallClockOffsetNs: bigint) {
    const { probe, views, offsets, count, start, end } = records;
    this.probe = probe.name;
    this.count = count;
    this.#probe = probe;
    this.#bytes = views.u8.slice(start, end);
    this.#offsets = offsets.slice(0, count).map((offset) => offset - start);
    this.#names = names;
    this.#wallClockOffsetNs = wallClockOffsetNs;
    this.byteLength = BATCH_OVERHEAD_BYTES + this.#bytes.byteLength + count * RECORD_OVERHEAD_BYTES;
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
    const at = this.#offsets[index];
    if (at === undefined) throw new RangeError(`record ${index} of ${this.count}`);
    this.#views ??= recordViews(this.#bytes.buffer);
    const recordType = recordTypeAt(this.#probe, this.#views, at);
    const { type, head, body } = recordType.decode(this.#views, at);
    const names = this.#names[index] ?? {};
    for (const [place, participant] of recordType.participants.entries()) {
      nameParticipant(participant.find(body), names.participants?.[place]);
    }
    const origin = {
      probe: this.probe,
      names,
      wallClockOffsetNs: this.#wallClockOffsetNs,
    };
    return { event: { seq, ...formatHead(head, type, origin), ...body }, timeNs: head.timeNs };
  }
}
