import { constants } from "node:os";
import { BpfError, checkResult } from "./errors.ts";
import { addressOf, libbpf, libc } from "./ffi.ts";

/** Room for struct bpf_prog_info, bpf_map_info and bpf_btf_info of newer kernels. */
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

/** MODULE_NAME_LEN, include/linux/module.h, with room to spare. */
const BTF_NAME_BYTES = 128;

/** struct bpf_btf_info; its name is written to memory that the caller provides. */
function readBtfName(fd: number): string {
  const name = new Uint8Array(BTF_NAME_BYTES);
  const info = new DataView(new ArrayBuffer(INFO_BYTES));
  info.setBigUint64(16, addressOf(name), true);
  info.setUint32(24, BTF_NAME_BYTES, true);
  const result = libbpf().bpf_obj_get_info_by_fd(fd, info, [INFO_BYTES]);
  checkResult(result, { operation: "read information of BTF", object: `fd ${fd}` });
  return Buffer.from(name).toString("latin1", 0, name.indexOf(0));
}

/**
 * A descriptor of a module's BTF in the kernel, to be closed by the caller. Needs CAP_SYS_ADMIN.
 *
 * @throws BpfError ENOENT when the kernel has no BTF of that name.
 */
export function openModuleBtf(module: string): number {
  const id: [number] = [0];
  const context = { operation: "find BTF of module", object: module };
  for (;;) {
    const result = libbpf().bpf_btf_get_next_id(id[0], id);
    if (result === -constants.errno.ENOENT) throw new BpfError({ ...context, errno: -result });
    checkResult(result, context);
    const fd = libbpf().bpf_btf_get_fd_by_id(id[0]);
    // Unloaded since it was listed.
    if (fd === -constants.errno.ENOENT) continue;
    checkResult(fd, context);
    if (readBtfName(fd) === module) return fd;
    libc().close(fd);
  }
}
