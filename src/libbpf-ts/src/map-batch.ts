import { constants } from "node:os";
import { BpfError, checkResult, ENOTSUPP } from "./errors.ts";
import { libbpf } from "./ffi.ts";

const { ENOENT, ENOSPC, EINVAL } = constants.errno;

/** What the batch calls need to know of a map. */
export interface BatchTarget {
  readonly name: string;
  readonly fd: number;
  readonly keySize: number;
  /** Bytes of one element's value as user space sees it, all CPUs of a per-CPU map included. */
  readonly valueBytes: number;
  readonly maxEntries: number;
}

/** Elements of a map. The bytes are reused: copy what must outlive the iteration step. */
export interface MapBatch {
  readonly count: number;
  /** `count` keys, one after the other. */
  readonly keys: Uint8Array;
  /** `count` values, one after the other. */
  readonly values: Uint8Array;
}

class Buffers {
  capacity: number;
  keys: Uint8Array;
  values: Uint8Array;

  constructor(map: BatchTarget, capacity: number) {
    this.capacity = capacity;
    this.keys = new Uint8Array(capacity * map.keySize);
    this.values = new Uint8Array(capacity * map.valueBytes);
  }

  batch(map: BatchTarget, count: number): MapBatch {
    return {
      count,
      keys: this.keys.subarray(0, count * map.keySize),
      values: this.values.subarray(0, count * map.valueBytes),
    };
  }
}

function isRefused(result: number): boolean {
  // ENOTSUPP: this type of map has no batch calls; EINVAL: nor has this kernel (before 5.6).
  return result === -ENOTSUPP || result === -EINVAL;
}

function* readByKey(map: BatchTarget, capacity: number, remove: boolean): Generator<MapBatch> {
  const { bpf_map_get_next_key, bpf_map_lookup_elem_flags, bpf_map_delete_elem } = libbpf();
  const buffers = new Buffers(map, capacity);
  // An element deleted meanwhile makes the kernel begin again at the first key: bound the walk.
  let remaining = map.maxEntries * 2;
  let previous: Uint8Array | null = null;
  let done = false;
  while (!done) {
    let count = 0;
    while (count < capacity) {
      const key = buffers.keys.subarray(count * map.keySize, (count + 1) * map.keySize);
      const next = bpf_map_get_next_key(map.fd, previous, key);
      if (next === -ENOENT || remaining-- <= 0) {
        done = true;
        break;
      }
      checkResult(next, { operation: "iterate over map", object: map.name });
      const current = key.slice();
      const value = buffers.values.subarray(count * map.valueBytes, (count + 1) * map.valueBytes);
      const found = bpf_map_lookup_elem_flags(map.fd, current, value, 0);
      // A removed element leaves no place to go on from: the walk starts at the front again.
      previous = remove ? null : current;
      if (found === -ENOENT) continue;
      checkResult(found, { operation: "look up in map", object: map.name });
      if (remove) bpf_map_delete_elem(map.fd, current);
      count++;
    }
    if (count > 0) yield buffers.batch(map, count);
  }
}

/**
 * Walks over a map in batches, with the kernel's batch calls or, where it refuses them, key by
 * key. Elements that change during the walk may be missed or seen twice.
 *
 * @throws BpfError when the kernel refuses to read the map.
 */
export function* readBatches(
  map: BatchTarget,
  chunk: number,
  remove: boolean,
): Generator<MapBatch> {
  const { bpf_map_lookup_batch, bpf_map_lookup_and_delete_batch } = libbpf();
  const read = remove ? bpf_map_lookup_and_delete_batch : bpf_map_lookup_batch;
  const operation = remove ? "take batch from map" : "read batch of map";
  // The position is a key for some types of map, a 32-bit bucket number for others.
  const position = new Uint8Array(Math.max(map.keySize, 8));
  let started = false;
  let buffers = new Buffers(map, Math.max(1, Math.min(chunk, map.maxEntries)));
  for (;;) {
    const count: [number] = [buffers.capacity];
    const from = started ? position : null;
    const result = read(map.fd, from, position, buffers.keys, buffers.values, count, null);
    if (!started && isRefused(result)) {
      yield* readByKey(map, buffers.capacity, remove);
      return;
    }
    if (result === -ENOSPC && buffers.capacity < map.maxEntries) {
      // One bucket holds more than the buffers: generic_map_lookup_batch, kernel/bpf/hashtab.c.
      buffers = new Buffers(map, Math.min(buffers.capacity * 2, map.maxEntries));
      continue;
    }
    if (result !== -ENOENT) checkResult(result, { operation, object: map.name });
    started = true;
    if (count[0] > 0) yield buffers.batch(map, count[0]);
    if (result === -ENOENT) return;
  }
}

function wrongLength(operation: string, map: BatchTarget, detail: string): BpfError {
  return new BpfError({ operation, object: map.name, code: "EINVAL", detail });
}

/**
 * Deletes keys, given one after the other; keys that are not there do not count.
 *
 * @returns how many elements were deleted.
 */
export function deleteKeys(map: BatchTarget, keys: Uint8Array): number {
  const operation = "delete batch from map";
  if (keys.length % map.keySize !== 0) {
    throw wrongLength(operation, map, `${keys.length} bytes are no multiple of ${map.keySize}`);
  }
  const { bpf_map_delete_batch, bpf_map_delete_elem } = libbpf();
  const total = keys.length / map.keySize;
  let deleted = 0;
  let at = 0;
  let batched = true;
  while (at < total) {
    const rest = keys.subarray(at * map.keySize);
    const count: [number] = [batched ? total - at : 1];
    const result = batched
      ? bpf_map_delete_batch(map.fd, rest, count, null)
      : bpf_map_delete_elem(map.fd, rest);
    if (batched && isRefused(result)) {
      batched = false;
      continue;
    }
    if (result !== -ENOENT) checkResult(result, { operation, object: map.name });
    // The batch call stops at a missing key and says how many came before it.
    const before = batched ? count[0] : result === 0 ? 1 : 0;
    deleted += before;
    at += before + (result === -ENOENT ? 1 : 0);
  }
  return deleted;
}
