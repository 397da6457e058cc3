import { constantName, MapType } from "./constants.ts";
import { checkResult } from "./errors.ts";
import { libbpf, libc, type Pointer } from "./ffi.ts";
import type { BpfMap } from "./map.ts";

/** A map of an object that is open and not loaded yet. */
export class OpenMap {
  readonly name: string;
  readonly #use: () => Pointer;

  /** Made by OpenObject. `use` throws once the object is consumed. */
  constructor(pointer: Pointer, use: (pointer: Pointer) => Pointer) {
    this.name = libbpf().bpf_map__name(pointer);
    this.#use = () => use(pointer);
  }

  /** As in MapType: "RINGBUF". */
  get typeName(): string {
    return constantName(MapType, libbpf().bpf_map__type(this.#use()));
  }

  get maxEntries(): number {
    return libbpf().bpf_map__max_entries(this.#use());
  }

  /** For a ring buffer the size in bytes, which libbpf rounds up to a power of two of pages. */
  setMaxEntries(count: number): void {
    const result = libbpf().bpf_map__set_max_entries(this.#use(), count);
    checkResult(result, { operation: "set size of map", object: `${this.name} to ${count}` });
  }

  /** Whether `load()` creates the map; off for a type that this kernel lacks and no one uses. */
  setAutocreate(on: boolean): void {
    const result = libbpf().bpf_map__set_autocreate(this.#use(), on);
    checkResult(result, { operation: "set autocreate of map", object: this.name });
  }

  /**
   * Uses a map that exists already in place of a new one.
   *
   * @throws BpfError when `load()` finds that type or sizes differ.
   */
  reuse(map: BpfMap): void {
    this.reuseFd(map.fd);
  }

  /** As `reuse`; libbpf duplicates the descriptor. */
  reuseFd(fd: number): void {
    const result = libbpf().bpf_map__reuse_fd(this.#use(), fd);
    checkResult(result, { operation: "reuse descriptor for map", object: `${this.name} fd ${fd}` });
  }

  /** Uses the map pinned at `path` in place of a new one. */
  reusePinned(path: string): void {
    const fd = libbpf().bpf_obj_get(path);
    checkResult(fd, { operation: "open pinned map", object: path });
    try {
      this.reuseFd(fd);
    } finally {
      libc().close(fd);
    }
  }
}
