import { checkResult } from "./errors.ts";
import { libbpf, type Pointer } from "./ffi.ts";
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

  get maxEntries(): number {
    return libbpf().bpf_map__max_entries(this.#use());
  }

  /** For a ring buffer the size in bytes, which libbpf rounds up to a power of two of pages. */
  setMaxEntries(count: number): void {
    const result = libbpf().bpf_map__set_max_entries(this.#use(), count);
    checkResult(result, { operation: "set size of map", object: `${this.name} to ${count}` });
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
}
