import { type BpfMap, type LoadedObject, OpenObject } from "libbpf-ts";
import { objectPath } from "./objects.ts";

const OBJECT = "cgroup_names";

/** Paths of the cgroups that were made while the daemon runs, also of those gone since. */
export class CgroupNames {
  readonly #object: LoadedObject;
  readonly #paths: BpfMap;
  readonly #value: Uint8Array;

  private constructor(object: LoadedObject) {
    this.#object = object;
    this.#paths = object.map("cgroup_paths");
    this.#value = new Uint8Array(this.#paths.info.valueSize);
  }

  /** @throws BpfError where the kernel refuses the program. */
  static attach(bpfDir?: string): CgroupNames {
    const object = OpenObject.openFile(objectPath(OBJECT, bpfDir)).load();
    try {
      object.program("cgroup_mkdir").attach();
      return new CgroupNames(object);
    } catch (error) {
      object.close();
      throw error;
    }
  }

  /** Path below the root of the version 2 hierarchy, or undefined if it was not seen. */
  path(id: number): string | undefined {
    const key = new Uint8Array(new BigUint64Array([BigInt(id)]).buffer);
    if (!this.#paths.lookupInto(key, this.#value)) return undefined;
    const text = Buffer.from(this.#value.buffer, 0, this.#value.indexOf(0)).toString();
    return text === "" ? undefined : text;
  }

  close(): void {
    this.#object.close();
  }
}
