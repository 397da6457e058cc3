import type { BpfMap, LoadedObject, OpenObject } from "libbpf-ts";

/** What the programs of several probes share: whichever is loaded first makes it. */
const SHARED = ["socket_records"];

/** Maps of one object that those loaded later use, too, and that outlive it. */
export class SharedMaps {
  readonly #maps = new Map<string, BpfMap>();

  /** For an object that is about to be loaded. @throws BpfError */
  lend(object: OpenObject): void {
    for (const [name, map] of this.#maps) object.maps.get(name)?.reuse(map);
  }

  /** Those of an object that has been. @throws BpfError */
  keep(object: LoadedObject): void {
    for (const name of SHARED) {
      const map = object.maps.get(name);
      if (map !== undefined && !this.#maps.has(name)) this.#maps.set(name, map.duplicate());
    }
  }

  close(): void {
    for (const map of this.#maps.values()) map.close();
    this.#maps.clear();
  }
}
