import { MapType } from "./constants.ts";
import { BpfError } from "./errors.ts";
import { libc } from "./ffi.ts";
import { readMapInfo } from "./info.ts";
import type { BpfMap } from "./map.ts";
import { duplicateFd, Mapping, pageBytes } from "./memory.ts";
import type { RecordBatch } from "./ring-batch.ts";
import { Drain, type DrainOptions, type RecordHandler } from "./ring-drain.ts";
import { type Subscription, subscribe, type WakeOptions } from "./ring-wake.ts";
import { type RecordViews, recordViews } from "./views.ts";

/** Offsets are 32-bit integers and the data is mapped twice. */
const MAX_SIZE = 1 << 29;
/** Records begin at multiples of it. */
const POSITION_STEP = 8n;

/**
 * A BPF ring buffer, mapped. Records are read in place: no call into C and no copy per record.
 * There is one consumer of a ring in the whole system.
 */
export class RingBuffer {
  readonly name: string;
  /** Bytes of data that the ring holds. */
  readonly size: number;
  /** Discarded records that were skipped. */
  discarded = 0;
  /** How often a header was impossible, and the bytes that were skipped for it. */
  corrupt = 0;
  corruptBytes = 0;

  readonly #fd: number;
  readonly #consumerPage: Mapping;
  readonly #dataPages: Mapping;
  readonly #views: RecordViews;
  readonly #consumer: BigUint64Array;
  readonly #producer: Int32Array;
  /** What is released, as the kernel counts it: bytes since the ring was made. */
  #position: bigint;
  /** The low 32 bits of the position up to which records are taken. */
  #taken: number;
  /** Bytes taken and not released. */
  #pending = 0;
  #closed = false;
  readonly #subscriptions = new Set<Subscription>();
  readonly #drain: Drain;

  private constructor(name: string, fd: number, size: number) {
    const page = pageBytes();
    this.name = name;
    this.size = size;
    this.#fd = fd;
    this.#consumerPage = Mapping.create(fd, 0, page, true);
    this.#dataPages = Mapping.create(fd, page, page + 2 * size, false);
    this.#consumer = new BigUint64Array(this.#consumerPage.buffer, 0, 1);
    this.#producer = new Int32Array(this.#dataPages.buffer, 0, 2);
    this.#views = recordViews(this.#dataPages.buffer, page, 2 * size);
    this.#position = this.#firstPosition();
    this.#taken = Number(BigInt.asIntN(32, this.#position));
    this.#drain = new Drain(this);
  }

  /**
   * Where the last consumer stopped. If that can be no position, for which a writer at its page is to
   * blame, all that waits is given up: from there nothing could be read, and the kernel may find no
   * room (__bpf_ringbuf_reserve() in kernel/bpf/ringbuf.c).
   */
  #firstPosition(): bigint {
    const left = Atomics.load(this.#consumer, 0);
    const produced = Atomics.load(new BigUint64Array(this.#dataPages.buffer, 0, 1), 0);
    const waiting = BigInt.asUintN(64, produced - left);
    if (waiting <= BigInt(this.size) && left % POSITION_STEP === 0n) return left;
    this.corrupt++;
    Atomics.store(this.#consumer, 0, produced);
    return produced;
  }

  /**
   * Maps a ring. It lives on when the map's object is closed.
   *
   * @throws BpfError when the map is no ring buffer, or larger than 512 MiB.
   */
  static map(map: Pick<BpfMap, "fd" | "name">): RingBuffer {
    const info = readMapInfo(map.fd);
    const detail = `it is a map of type ${info.type} (enum bpf_map_type)`;
    if (info.type !== MapType.RINGBUF) throw refusal(map.name, detail);
    return RingBuffer.fromFd(map.fd, map.name, info.maxEntries);
  }

  /**
   * Maps a ring of which only the descriptor is known, without a call of bpf(2), which takes rights.
   * The descriptor stays the caller's.
   *
   * @param size bytes of data: the map's `maxEntries`.
   */
  static fromFd(mapFd: number, name: string, size: number): RingBuffer {
    if (size > MAX_SIZE) throw refusal(name, `${size} bytes, more than ${MAX_SIZE}`);
    const fd = duplicateFd(mapFd);
    try {
      return new RingBuffer(name, fd, size);
    } catch (error) {
      libc().close(fd);
      throw error;
    }
  }

  get closed(): boolean {
    return this.#closed;
  }

  /** File descriptor, readable while records wait; it belongs to the ring. */
  get fd(): number {
    this.#check("use");
    return this.#fd;
  }

  /** The ring's memory. Read-only: a write ends the process. */
  get views(): RecordViews {
    this.#check("read");
    return this.#views;
  }

  /** What has been given back to the kernel, in bytes since the ring was made. */
  get released(): bigint {
    return this.#position;
  }

  /** What `released` will be once all is released that was taken. */
  get taken(): bigint {
    return this.#position + BigInt(this.#pending);
  }

  /** Bytes that wait to be released, headers included: the ring is full at `size`. */
  fill(): number {
    this.#check("read fill of");
    return (Atomics.load(this.#producer, 0) - Number(BigInt.asIntN(32, this.#position))) >>> 0;
  }

  /**
   * Finds the next records, in the order in which they were reserved, up to one that is not
   * submitted yet. Their bytes stay valid until `release()`.
   *
   * @returns how many there are, also in `batch.count`; 0 when nothing more is ready.
   * @throws BpfError EBADMSG when a header is impossible: all that waits is skipped and counted.
   */
  take(batch: RecordBatch, maxRecords: number = batch.capacity): number {
    this.#check("read");
    const available = (Atomics.load(this.#producer, 0) - this.#taken) >>> 0;
    const start = this.#taken & (this.size - 1);
    // More than the ring holds: the positions themselves are damaged.
    const plausible = available <= this.size;
    const end = plausible ? start + available : start;
    const sound = batch.walk(this.#views.i32, start, end, maxRecords) && plausible;
    const taken = batch.end - start;
    this.discarded += batch.discarded;
    this.#advance(taken);
    if (!sound && batch.count === 0) this.#skipCorrupt(available - taken);
    return batch.count;
  }

  /** Gives the space of all that was taken back to the kernel. Does nothing once closed. */
  release(): void {
    if (this.#pending === 0 || this.#closed) return;
    this.#position += BigInt(this.#pending);
    this.#pending = 0;
    Atomics.store(this.#consumer, 0, this.#position);
  }

  /**
   * Calls back when records wait, soon after the first one, then at most once per `holdOffMs`. A
   * promise that the callback returns is waited for. Keeps the process alive unless `unref`ed.
   */
  onReadable(callback: () => void | Promise<void>, options: WakeOptions = {}): Subscription {
    const subscription = subscribe(this, callback, options, (closed) =>
      this.#subscriptions.delete(closed),
    );
    this.#subscriptions.add(subscription);
    return subscription;
  }

  /**
   * Hands out and releases all that waits, `maxPerTurn` records per turn of the event loop. Ends
   * early when the ring is closed. A second call while one runs gets the first one's promise.
   *
   * @returns the number of records handed out.
   */
  drain(handler: RecordHandler, options: DrainOptions = {}): Promise<number> {
    return this.#drain.run(handler, options);
  }

  /** May be called at any time and twice. Views held elsewhere are detached: see Mapping. */
  close(): void {
    if (this.#closed) return;
    this.#closed = true;
    for (const subscription of [...this.#subscriptions]) subscription.close();
    this.#consumerPage.close();
    this.#dataPages.close();
    libc().close(this.#fd);
  }

  #advance(bytes: number): void {
    this.#taken = (this.#taken + bytes) | 0;
    this.#pending += bytes;
  }

  #skipCorrupt(bytes: number): void {
    this.corrupt++;
    this.corruptBytes += bytes;
    const at = this.#position + BigInt(this.#pending);
    this.#advance(bytes);
    throw new BpfError({
      operation: "read ring buffer",
      object: this.name,
      code: "EBADMSG",
      detail: `impossible record header at position ${at}; ${bytes} bytes skipped`,
    });
  }

  #check(verb: string): void {
    if (!this.#closed) return;
    throw new BpfError({
      operation: `${verb} ring buffer`,
      object: this.name,
      code: "EBADF",
      detail: "the ring buffer is closed",
    });
  }
}

function refusal(object: string, detail: string): BpfError {
  return new BpfError({ operation: "map ring buffer", object, code: "EINVAL", detail });
}
