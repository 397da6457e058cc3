import type { BpfMap, LoadedObject, OpenObject } from "libbpf-ts";

/** Who opened local ports: bpf/include/port_ledger.h. */
export const LEDGER_MAPS = ["port_openers", "modest_port_openers"] as const;

/** What the programs of several probes share: whichever is loaded first makes it. */
const SHARED = ["socket_records", ...LEDGER_MAPS];

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

  /** Those of the ledger of ports; none before an object that writes it is loaded. */
  get ledger(): BpfMap[] {
    return LEDGER_MAPS.flatMap((name) => this.#maps.get(name) ?? []);
  }

  close(): void {
    for (const map of this.#maps.values()) map.close();
    this.#maps.clear();
  }
}
