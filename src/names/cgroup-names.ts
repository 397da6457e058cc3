import { readFileSync } from "node:fs";
import {
  type BpfMap,
  Btf,
  checkLayout,
  type LoadedObject,
  OpenObject,
  RecordBatch,
  type RingBuffer,
} from "libbpf-ts";
import { objectPath } from "../attach/objects.ts";
import { cgroupPathLayout, decodeCgroupPath } from "../events/events.gen.ts";
import { LruMap } from "../util/lru.ts";

const OBJECT = "cgroup_names";

/** Of cgroups made since the start: as many as there are names for. */
const MAX_PATHS = 8192;
const MAX_PER_TAKE = 256;

/** The program that tells the paths of new cgroups, in the kernel. */
export class CgroupWatch {
  readonly #object: LoadedObject;

  private constructor(object: LoadedObject) {
    this.#object = object;
  }

  /** @throws BpfError where the kernel refuses the program. */
  static attach(bpfDir?: string): CgroupWatch {
    const file = objectPath(OBJECT, bpfDir);
    const opened = OpenObject.openFile(file);
    checkLayout(cgroupPathLayout, Btf.fromObject(readFileSync(file), file));
    const object = opened.load();
    try {
      object.program("cgroup_mkdir").attach();
      return new CgroupWatch(object);
    } catch (error) {
      object.close();
      throw error;
    }
  }

  /** To be read by CgroupNames. */
  get ring(): BpfMap {
    return this.#object.map("cgroup_paths");
  }

  close(): void {
    this.#object.close();
  }
}

/** Paths of the cgroups that were made while the daemon runs, also of those gone since. */
export class CgroupNames {
  readonly #ring: RingBuffer;
  readonly #batch = new RecordBatch(MAX_PER_TAKE);
  readonly #paths = new LruMap<number, string>(MAX_PATHS);

  /** Of a CgroupWatch. */
  constructor(ring: RingBuffer) {
    this.#ring = ring;
  }

  /**
   * Path below the root of the version 2 hierarchy, or undefined if it was not seen. A cgroup is told
   * of before anything that happens in it.
   */
  path(id: number): string | undefined {
    const known = this.#paths.get(id);
    if (known !== undefined) return known;
    this.read();
    return this.#paths.get(id);
  }

  /** Takes what waits in the ring; called once in a while, so that it does not become full. */
  read(): void {
    while (this.#ring.take(this.#batch) > 0) {
      for (let index = 0; index < this.#batch.count; index++) this.#note(index);
      this.#ring.release();
    }
  }

  close(): void {
    this.#ring.close();
  }

  #note(index: number): void {
    if (this.#batch.lengths[index] !== cgroupPathLayout.size) return;
    const { id, path } = decodeCgroupPath(this.#ring.views, this.#batch.offsets[index] as number);
    if (path !== "") this.#paths.set(Number(id), path);
  }
}
