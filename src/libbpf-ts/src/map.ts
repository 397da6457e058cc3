import { constants } from "node:os";
import { MapType, UpdateFlag } from "./constants.ts";
import { BpfError, checkErrno, checkResult } from "./errors.ts";
import { lastErrno, libbpf, libc } from "./ffi.ts";
import { type MapInfo, readMapInfo } from "./info.ts";
import { Mapping, pageBytes } from "./memory.ts";

const { ENOENT } = constants.errno;

/** include/uapi/linux/fcntl.h */
const F_DUPFD_CLOEXEC = 1030;

/** A key: its bytes, or a number for a key of one, two or four bytes. */
export type MapKey = Uint8Array | number;

const PER_CPU_TYPES: ReadonlySet<number> = new Set([
  MapType.PERCPU_HASH,
  MapType.PERCPU_ARRAY,
  MapType.LRU_PERCPU_HASH,
  MapType.PERCPU_CGROUP_STORAGE,
]);

/** Sizes in bytes; a ring buffer has neither keys nor values, and as many entries as bytes. */
export interface MapSpec {
  /** One of MapType. */
  readonly type: number;
  readonly name: string;
  readonly keySize?: number;
  readonly valueSize?: number;
  readonly maxEntries: number;
}

let cpus: number | undefined;

/** CPUs that this machine may ever have, which is the number of values in a per-CPU map. */
export function possibleCpus(): number {
  cpus ??= checkResult(libbpf().libbpf_num_possible_cpus(), {
    operation: "count",
    object: "possible CPUs",
  });
  return cpus;
}

/** A map in the kernel: of a loaded object, or taken over as a descriptor. */
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

  /** Made by LoadedObject and `fromFd`. */
  constructor(name: string, fd: () => number, closeFd: () => void = () => {}) {
    this.info = readMapInfo(fd());
    this.name = name === "" ? this.info.name : name;
    this.isPerCpu = PER_CPU_TYPES.has(this.info.type);
    this.#stride = Math.ceil(this.info.valueSize / 8) * 8;
    this.valueBytes = this.isPerCpu ? this.#stride * possibleCpus() : this.info.valueSize;
    this.#fd = fd;
    this.#closeFd = closeFd;
  }

  /** A new one, of no object: see OpenMap's `reuse`. @throws BpfError */
  static create({ type, name, keySize = 0, valueSize = 0, maxEntries }: MapSpec): BpfMap {
    const fd = libbpf().bpf_map_create(type, name, keySize, valueSize, maxEntries, null);
    return BpfMap.fromFd(checkResult(fd, { operation: "create map", object: name }), name);
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
    if (!this.isPerCpu) throw this.#invalid("look up per CPU in map", "is not per CPU");
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

  /**
   * Keys of a hash, as many as it may have. One that is deleted meanwhile may begin the walk anew, so
   * that keys come twice.
   */
  keys(): Uint8Array[] {
    const keys: Uint8Array[] = [];
    const { bpf_map_get_next_key } = libbpf();
    for (let last: Uint8Array | null = null; keys.length < this.maxEntries; ) {
      const next = new Uint8Array(this.keySize);
      const result = bpf_map_get_next_key(this.fd, last, next);
      if (result === -ENOENT) break;
      checkResult(result, { operation: "walk over map", object: this.name });
      keys.push(next);
      last = next;
    }
    return keys;
  }

  /**
   * The values of an array (BPF_F_MMAPABLE), one behind the other, as memory of the kernel's while
   * `act` runs. Beside the price of a call for each, calls would keep kprobes from running: those on a
   * CPU where one that reads a map is preempted are skipped (bpf_disable_instrumentation(), 5.10 to 7.2).
   * @throws BpfError
   */
  withMemory<T>(act: (values: ArrayBuffer) => T): T {
    const { valueSize, maxEntries } = this.info;
    const stride = Math.ceil(valueSize / 8) * 8;
    const pages = Math.ceil((stride * maxEntries) / pageBytes());
    const mapping = Mapping.create(this.fd, 0, pages * pageBytes(), false);
    try {
      return act(mapping.buffer);
    } finally {
      mapping.close();
    }
  }

  /** The same map by a descriptor of its own, which outlives the object that this one belongs to. */
  duplicate(): BpfMap {
    const fd = libc().fcntl(this.fd, F_DUPFD_CLOEXEC, 0);
    const context = { operation: "duplicate descriptor of map", object: this.name };
    return BpfMap.fromFd(checkErrno(fd, lastErrno(), context), this.name);
  }

  /** Keeps the map in the kernel beyond the process. `path` is a new file in a bpffs. */
  pin(path: string): void {
    const result = libbpf().bpf_obj_pin(this.fd, path);
    checkResult(result, { operation: "pin map", object: `${this.name} at ${path}` });
  }

  /** Closes a map that was taken over as a descriptor; an object closes its own maps. */
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

  #invalid(operation: string, detail: string): BpfError {
    const object = this.name;
    return new BpfError({ operation, object, code: "EINVAL", detail: `the map ${detail}` });
  }
}
