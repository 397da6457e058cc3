import { constants } from "node:os";
import { constantName, MapType, UpdateFlag } from "./constants.ts";
import { BpfError, checkResult } from "./errors.ts";
import { libbpf, libc } from "./ffi.ts";
import { type MapInfo, readMapInfo } from "./info.ts";
import { deleteKeys, type MapBatch, readBatches } from "./map-batch.ts";

const { ENOENT } = constants.errno;
const DEFAULT_BATCH = 4096;

/** A key: its bytes, or a number for a key of one, two or four bytes. */
export type MapKey = Uint8Array | number;

const PER_CPU_TYPES: ReadonlySet<number> = new Set([
  MapType.PERCPU_HASH,
  MapType.PERCPU_ARRAY,
  MapType.LRU_PERCPU_HASH,
  MapType.PERCPU_CGROUP_STORAGE,
]);

let cpus: number | undefined;

/** CPUs that this machine may ever have, which is the number of values in a per-CPU map. */
export function possibleCpus(): number {
  cpus ??= checkResult(libbpf().libbpf_num_possible_cpus(), {
    operation: "count",
    object: "possible CPUs",
  });
  return cpus;
}

/** A map in the kernel: of a loaded object, opened from a pin, or taken over as a descriptor. */
export class BpfMap {
  readonly name: string;
  readonly info: MapInfo;
  readonly isPerCpu: boolean;
  /** Bytes of one element's value in lookups: for a per-CPU map those of all CPUs. */
  readonly valueBytes: number;
  /** Bytes between two CPUs' values: the value's size rounded up to 8. */
  readonly #stride: number;
  readonly #fd: () => number;
  readonly #closeFd: () => void;

  /** Made by LoadedObject, `openPinned` and `fromFd`. */
  constructor(name: string, fd: () => number, closeFd: () => void = () => {}) {
    this.info = readMapInfo(fd());
    this.name = name === "" ? this.info.name : name;
    this.isPerCpu = PER_CPU_TYPES.has(this.info.type);
    this.#stride = Math.ceil(this.info.valueSize / 8) * 8;
    this.valueBytes = this.isPerCpu ? this.#stride * possibleCpus() : this.info.valueSize;
    this.#fd = fd;
    this.#closeFd = closeFd;
  }

  /**
   * Opens a map pinned in a bpffs.
   *
   * @throws BpfError when there is no map at `path`.
   */
  static openPinned(path: string): BpfMap {
    const fd = libbpf().bpf_obj_get(path);
    checkResult(fd, { operation: "open pinned map", object: path });
    return BpfMap.fromFd(fd);
  }

  /** Takes over a descriptor: `close()` closes it. */
  static fromFd(fd: number, name = ""): BpfMap {
    let open = true;
    const use = (): number => {
      if (open) return fd;
      const detail = "the map is closed";
      throw new BpfError({ operation: "use map", object: name, code: "EBADF", detail });
    };
    return new BpfMap(name, use, () => {
      if (open) libc().close(fd);
      open = false;
    });
  }

  get fd(): number {
    return this.#fd();
  }

  get keySize(): number {
    return this.info.keySize;
  }

  get maxEntries(): number {
    return this.info.maxEntries;
  }

  /** The value of a key (of all CPUs, for a per-CPU map), or undefined when it is not there. */
  lookup(key: MapKey): Uint8Array | undefined {
    const value = new Uint8Array(this.valueBytes);
    return this.lookupInto(key, value) ? value : undefined;
  }

  /** As `lookup`, into the caller's bytes. Returns whether the key is there. */
  lookupInto(key: MapKey, value: Uint8Array): boolean {
    this.#checkValue(value);
    const result = libbpf().bpf_map_lookup_elem_flags(this.fd, this.#key(key), value, 0);
    if (result === -ENOENT) return false;
    checkResult(result, { operation: "look up in map", object: this.name });
    return true;
  }

  /** One value per possible CPU, or undefined when the key is not there. */
  lookupPerCpu(key: MapKey): Uint8Array[] | undefined {
    if (!this.isPerCpu) throw this.#invalid("look up per CPU in map", `is ${this.#typeName()}`);
    const all = this.lookup(key);
    return all === undefined ? undefined : this.splitPerCpu(all);
  }

  /** Cuts the bytes of one element of a per-CPU map into one part per CPU, without a copy. */
  splitPerCpu(value: Uint8Array): Uint8Array[] {
    const parts: Uint8Array[] = [];
    for (let at = 0; at + this.#stride <= value.length; at += this.#stride) {
      parts.push(value.subarray(at, at + this.info.valueSize));
    }
    return parts;
  }

  /** `flag` is one of UpdateFlag. */
  update(key: MapKey, value: Uint8Array, flag: number = UpdateFlag.ANY): void {
    this.#checkValue(value);
    const result = libbpf().bpf_map_update_elem(this.fd, this.#key(key), value, flag);
    checkResult(result, { operation: "update map", object: this.name });
  }

  /** Sets one value per possible CPU. */
  updatePerCpu(key: MapKey, values: readonly Uint8Array[], flag: number = UpdateFlag.ANY): void {
    const all = new Uint8Array(this.valueBytes);
    if (values.length * this.#stride !== all.length) {
      throw this.#invalid("update map", `has ${possibleCpus()} CPUs, not ${values.length}`);
    }
    for (const [cpu, value] of values.entries()) {
      if (value.length !== this.info.valueSize) {
        throw this.#invalid("update map", `has values of ${this.info.valueSize} bytes per CPU`);
      }
      all.set(value, cpu * this.#stride);
    }
    this.update(key, all, flag);
  }

  /** Returns whether the key was there. */
  delete(key: MapKey): boolean {
    const result = libbpf().bpf_map_delete_elem(this.fd, this.#key(key));
    if (result === -ENOENT) return false;
    checkResult(result, { operation: "delete from map", object: this.name });
    return true;
  }

  /** Reads and removes; for a queue or stack the key is empty. Undefined when nothing is there. */
  take(key: MapKey = new Uint8Array(0)): Uint8Array | undefined {
    const value = new Uint8Array(this.valueBytes);
    const bytes = this.keySize === 0 ? null : this.#key(key);
    const result = libbpf().bpf_map_lookup_and_delete_elem(this.fd, bytes, value);
    if (result === -ENOENT) return undefined;
    checkResult(result, { operation: "take from map", object: this.name });
    return value;
  }

  /** Walks over the map in batches; see MapBatch for how long the bytes are valid. */
  batches(chunk = DEFAULT_BATCH): Generator<MapBatch> {
    return readBatches(this, chunk, false);
  }

  /** As `batches`, removing what it reads. */
  takeBatches(chunk = DEFAULT_BATCH): Generator<MapBatch> {
    return readBatches(this, chunk, true);
  }

  /** Every element, copied. */
  *entries(): Generator<[key: Uint8Array, value: Uint8Array]> {
    for (const { count, keys, values } of this.batches()) {
      for (let i = 0; i < count; i++) {
        yield [
          keys.slice(i * this.keySize, (i + 1) * this.keySize),
          values.slice(i * this.valueBytes, (i + 1) * this.valueBytes),
        ];
      }
    }
  }

  /** Deletes keys given one after the other; returns how many were there. */
  deleteBatch(keys: Uint8Array): number {
    return deleteKeys(this, keys);
  }

  /** Keeps the map in the kernel beyond the process. `path` is a new file in a bpffs. */
  pin(path: string): void {
    const result = libbpf().bpf_obj_pin(this.fd, path);
    checkResult(result, { operation: "pin map", object: `${this.name} at ${path}` });
  }

  /** Closes a map that was opened from a pin or a descriptor; an object closes its own maps. */
  close(): void {
    this.#closeFd();
  }

  #key(key: MapKey): Uint8Array {
    const size = this.keySize;
    if (typeof key !== "number") {
      if (key.length === size) return key;
      throw this.#invalid("use key of map", `has keys of ${size} bytes, not ${key.length}`);
    }
    if (!Number.isInteger(key) || key < 0 || size > 4 || key >= 2 ** (size * 8)) {
      throw this.#invalid("use key of map", `has keys of ${size} bytes: ${key} is none`);
    }
    return new Uint8Array(new Uint32Array([key]).buffer, 0, size);
  }

  #checkValue(value: Uint8Array): void {
    if (value.length === this.valueBytes) return;
    const detail = `has values of ${this.valueBytes} bytes, not ${value.length}`;
    throw this.#invalid("use value of map", detail);
  }

  #typeName(): string {
    return constantName(MapType, this.info.type);
  }

  #invalid(operation: string, detail: string): BpfError {
    const object = this.name;
    return new BpfError({ operation, object, code: "EINVAL", detail: `the map ${detail}` });
  }
}
