import { checkResult } from "./errors.ts";
import { libbpf } from "./ffi.ts";

/** Room for struct bpf_prog_info and bpf_map_info of newer kernels. */
const INFO_BYTES = 512;

function readInfo(fd: number, what: string): DataView {
  const bytes = new Uint8Array(INFO_BYTES);
  const result = libbpf().bpf_obj_get_info_by_fd(fd, bytes, [INFO_BYTES]);
  checkResult(result, { operation: `read information of ${what}`, object: `fd ${fd}` });
  return new DataView(bytes.buffer);
}

/** BPF_OBJ_NAME_LEN: the kernel keeps 15 characters of a name. */
const NAME_BYTES = 16;

function readName(view: DataView, offset: number): string {
  const bytes = Buffer.from(view.buffer, offset, NAME_BYTES);
  const end = bytes.indexOf(0);
  return bytes.toString("latin1", 0, end < 0 ? NAME_BYTES : end);
}

export interface MapInfo {
  /** enum bpf_map_type. */
  readonly type: number;
  readonly id: number;
  readonly keySize: number;
  readonly valueSize: number;
  readonly maxEntries: number;
  readonly flags: number;
  /** Cut to 15 characters by the kernel. */
  readonly name: string;
}

/** struct bpf_map_info, include/uapi/linux/bpf.h. */
export function readMapInfo(fd: number): MapInfo {
  const view = readInfo(fd, "map");
  return {
    type: view.getUint32(0, true),
    id: view.getUint32(4, true),
    keySize: view.getUint32(8, true),
    valueSize: view.getUint32(12, true),
    maxEntries: view.getUint32(16, true),
    flags: view.getUint32(20, true),
    name: readName(view, 24),
  };
}

export interface ProgramInfo {
  /** enum bpf_prog_type. */
  readonly type: number;
  readonly id: number;
  /** Cut to 15 characters by the kernel. */
  readonly name: string;
  /** Zero unless run-time statistics are on: see enableRunStats. */
  readonly runTimeNs: bigint;
  readonly runCount: bigint;
  /** Runs skipped because the program was running on this CPU already (5.12 and newer). */
  readonly recursionMisses: bigint;
}

/** BPF_LINK_TYPE_CGROUP in enum bpf_link_type. */
const LINK_TYPE_CGROUP = 3;

export interface LinkInfo {
  readonly programId: number;
  /** False once somebody has detached it (BPF_LINK_DETACH), or its cgroup is gone. */
  readonly attached: boolean;
}

/** struct bpf_link_info, include/uapi/linux/bpf.h. Of other than cgroup links none can detach one. */
export function readLinkInfo(fd: number): LinkInfo {
  const view = readInfo(fd, "link");
  const isCgroup = view.getUint32(0, true) === LINK_TYPE_CGROUP;
  const cgroupId = view.getBigUint64(16, true);
  return { programId: view.getUint32(8, true), attached: !isCgroup || cgroupId !== 0n };
}

/** struct bpf_prog_info, include/uapi/linux/bpf.h. */
export function readProgramInfo(fd: number): ProgramInfo {
  const view = readInfo(fd, "program");
  return {
    type: view.getUint32(0, true),
    id: view.getUint32(4, true),
    name: readName(view, 64),
    runTimeNs: view.getBigUint64(192, true),
    runCount: view.getBigUint64(200, true),
    recursionMisses: view.getBigUint64(208, true),
  };
}
