import { type RecordViews, recordViews } from "libbpf-ts";
import type { RingRecords } from "../kernel/drain.ts";
import { kindAt } from "../probes/kinds.ts";
import type { Probe } from "../probes/probe.ts";
import type { EventBatch, TuplewatchEvent } from "./batch.ts";
import { formatHead, type Names, nameParty } from "./head.ts";

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
  readonly #backend: string;
  readonly #bytes: Uint8Array<ArrayBuffer>;
  readonly #offsets: Int32Array;
  readonly #names: readonly Names[];
  readonly #wallClockOffsetNs: bigint;
  #views: RecordViews | undefined;

  /** `names`: one for each record, noted when it was read, since later they may be gone. */
  constructor(records: RingRecords, names: readonly Names[], wallClockOffsetNs: bigint) {
    const { probe, views, offsets, count, start, end } = records;
    this.probe = probe.probe.name;
    this.count = count;
    this.#probe = probe.probe;
    this.#backend = probe.backend.name;
    this.#bytes = views.u8.slice(start, end);
    this.#offsets = offsets.slice(0, count).map((offset) => offset - start);
    this.#names = names;
    this.#wallClockOffsetNs = wallClockOffsetNs;
    this.byteLength = BATCH_OVERHEAD_BYTES + this.#bytes.byteLength + count * RECORD_OVERHEAD_BYTES;
  }

  event(index: number, seq: number): TuplewatchEvent {
    const at = this.#offsets[index];
    if (at === undefined) throw new RangeError(`record ${index} of ${this.count}`);
    this.#views ??= recordViews(this.#bytes.buffer);
    const kind = kindAt(this.#probe, this.#views, at);
    const { type, head, body } = kind.decode(this.#views, at);
    const names = this.#names[index] ?? {};
    for (const [place, party] of (kind.parties ?? []).entries()) {
      nameParty(party.find(body), names.parties?.[place]);
    }
    const origin = {
      probe: this.probe,
      backend: this.#backend,
      names,
      wallClockOffsetNs: this.#wallClockOffsetNs,
    };
    return { seq, ...formatHead(head, type, origin), ...body };
  }
}
