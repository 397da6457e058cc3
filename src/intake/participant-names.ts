import type { CgroupName, Cgroups } from "../names/cgroups.ts";
import type { NetnsNames } from "../names/netns.ts";
import type { LookupColumns, RecordType } from "../probes/probe.ts";
import { NO_COLUMN, TupleIndex } from "../util/tuple-index.ts";
import type { RecordCopy } from "./record-copy.ts";

/** Names of one participant. Absent ones are not known, or no longer. */
export interface ParticipantNames {
  readonly cgroup?: CgroupName | undefined;
  readonly netns?: string | undefined;
}

/** The first of a batch's names: that of a participant without one. */
const NAMELESS: ParticipantNames = {};

/** Participants that are remembered within a batch; there are seldom more than some tens. */
const MAX_REMEMBERED = 1024;
/** What a name is looked up by: cgroup, process, and the namespace's inode number and cookie. */
const KEY_WIDTH = 4;
/** No index of a name: it is to be looked up for each record. */
const NOT_REMEMBERED = 0xffff;

/**
 * Notes the names of participants when their records are read: later they may be gone. Within a
 * batch a name holds for all that have the same numbers, since all of its events were before the
 * first look.
 */
export class ParticipantNamer {
  readonly #cgroups: Cgroups;
  readonly #netns: NetnsNames;
  readonly #columns = new Map<RecordType, readonly Int32Array[]>();
  readonly #remembered = new TupleIndex(KEY_WIDTH, MAX_REMEMBERED);
  /** Of what is remembered, the index in `names`. */
  readonly #indexOf = new Uint16Array(MAX_REMEMBERED);
  #names: ParticipantNames[] = [];

  constructor(cgroups: Cgroups, netns: NetnsNames) {
    this.#cgroups = cgroups;
    this.#netns = netns;
  }

  beginBatch(): void {
    this.#netns.beginBatch();
    this.#remembered.clear();
    this.#names = [NAMELESS];
  }

  /**
   * Looks up the names of `count` rows of one type, and notes them with the records: row i is that
   * of record `positions[i]`, or i.
   */
  note(
    type: RecordType,
    rows: Float64Array,
    count: number,
    copy: RecordCopy,
    positions?: Int32Array,
  ): void {
    const { columnCount } = type;
    for (const [place, columns] of this.#columnsOf(type).entries()) {
      for (let index = 0, row = 0; index < count; index++, row += columnCount) {
        const record = positions === undefined ? index : (positions[index] as number);
        copy.setName(record, place, this.#index(rows, row, columns));
      }
    }
  }

  /** By the numbers that were noted since the batch began. Place 0 of a record is its head's. */
  get names(): readonly ParticipantNames[] {
    return this.#names;
  }

  #index(rows: Float64Array, row: number, columns: Int32Array): number {
    const before = this.#remembered.size;
    const place = this.#remembered.indexOf(rows, row, columns);
    if (place >= 0 && place < before) {
      const known = this.#indexOf[place] as number;
      if (known !== NOT_REMEMBERED) return known;
    }
    const { skipped } = this.#netns;
    const names = this.#lookUp(rows, row, columns);
    const isNameless = names.cgroup === undefined && names.netns === undefined;
    const index = isNameless ? 0 : this.#names.push(names) - 1;
    // Not looked for: a later record may be luckier, and each one without a name is counted.
    const isSkipped = this.#netns.skipped !== skipped;
    if (place >= 0) this.#indexOf[place] = isSkipped ? NOT_REMEMBERED : index;
    return index;
  }

  /** Names that are known for a row's participant now. */
  #lookUp(rows: Float64Array, row: number, columns: Int32Array): ParticipantNames {
    const read = (place: number) => {
      const column = columns[place] as number;
      return column === NO_COLUMN ? undefined : (rows[row + column] as number);
    };
    const cgroupId = read(0);
    const pid = read(1) ?? 0;
    const inum = read(2) ?? 0;
    const cookie = read(3) ?? 0;
    const cgroup =
      cgroupId === undefined ? this.#cgroups.nameOfProcess(pid) : this.#cgroups.name(cgroupId, pid);
    // Cookies are counted up (gen_cookie_next(), include/linux/cookie.h): none gets that far.
    if (inum === 0 || !Number.isSafeInteger(cookie)) return { cgroup };
    return { cgroup, netns: this.#netns.name({ cookie: cookie || undefined, inum, pid }) };
  }

  #columnsOf(type: RecordType): readonly Int32Array[] {
    const known = this.#columns.get(type);
    if (known !== undefined) return known;
    const columns = [type.head, ...type.participants].map(keyColumns);
    this.#columns.set(type, columns);
    return columns;
  }
}

function keyColumns({ cgroupId, pid, netnsInum, netnsCookie }: LookupColumns): Int32Array {
  return Int32Array.of(
    cgroupId ?? NO_COLUMN,
    pid,
    netnsInum ?? NO_COLUMN,
    netnsCookie ?? NO_COLUMN,
  );
}
