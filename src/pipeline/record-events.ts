import { recordViews } from "libbpf-ts";
import type { RingRecords } from "../kernel/drain.ts";
import type { Probe } from "../probes/probe.ts";
import type { EventBatch, TuplewatchEvent } from "./batch.ts";
import { formatHead, type Names } from "./head.ts";

/** A name of each record's surroundings, noted when the record was read: later they may be gone. */
export interface NameSource {
  cgroupPath(cgroupId: number, pid: number): string | undefined;
  netnsName(inum: number): string | undefined;
}

/** A record's fixed overhead in memory, beside its bytes: two names and an offset. */
const OVERHEAD_BYTES = 20;

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

  constructor(records: RingRecords, source: NameSource, wallClockOffsetNs: bigint) {
    const { probe, views, offsets, count, start, end } = records;
    this.probe = probe.probe.name;
    this.count = count;
    this.#probe = probe.probe;
    this.#backend = probe.backend.name;
    this.#bytes = views.u8.slice(start, end);
    this.#offsets = offsets.slice(0, count).map((offset) => offset - start);
    this.#names = noteNames(records, source);
    this.#wallClockOffsetNs = wallClockOffsetNs;
    this.byteLength = this.#bytes.byteLength + count * OVERHEAD_BYTES;
  }

  event(index: number, seq: number): TuplewatchEvent {
    const at = this.#offsets[index];
    if (at === undefined) throw new RangeError(`record ${index} of ${this.count}`);
    const { head, body } = this.#probe.decode(recordViews(this.#bytes.buffer), at);
    return {
      seq,
      ...formatHead(head, {
        probe: this.probe,
        backend: this.#backend,
        names: this.#names[index] ?? {},
        wallClockOffsetNs: this.#wallClockOffsetNs,
      }),
      ...body,
    };
  }
}
