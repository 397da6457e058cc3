import { BpfError, type Context } from "./errors.ts";
import { libbpf, optionStruct } from "./ffi.ts";

/** r0 = `value`; exit. Instruction encoding: Documentation/bpf/standardization. */
function returnInstructions(value: number): Uint8Array {
  const view = new DataView(new ArrayBuffer(16));
  view.setUint8(0, 0xb7);
  view.setInt32(4, value, true);
  view.setUint8(8, 0x95);
  return new Uint8Array(view.buffer);
}

const LOG_BYTES = 64 << 10;

export interface TinyProgram {
  readonly type: number;
  readonly attachType?: number;
  /** BTF id of what a tracing program attaches to. */
  readonly btfId?: number;
  /** Descriptor of the module's BTF that the id is in; left out for the kernel's. */
  readonly btfFd?: number;
  /** What it returns. Default 0. */
  readonly returns?: number;
}

/** The verifier's last line but for its statistics. */
function lastWord(log: Uint8Array): string {
  const text = Buffer.from(log.subarray(0, Math.max(0, log.indexOf(0)))).toString();
  const lines = text.split("\n").map((line) => line.trim());
  return lines.findLast((line) => line !== "" && !line.startsWith("processed ")) ?? "";
}

/**
 * Loads a program that does nothing.
 *
 * @returns its descriptor, to be closed by the caller.
 * @throws BpfError with the verifier's reason.
 */
export function loadTinyProgram(program: TinyProgram, context: Context): number {
  const log = new Uint8Array(LOG_BYTES);
  const options = optionStruct("bpf_prog_load_opts", {
    expected_attach_type: program.attachType ?? 0,
    attach_btf_id: program.btfId ?? 0,
    attach_btf_obj_fd: program.btfFd ?? 0,
    log_level: 1,
    log_size: log.byteLength,
    log_buf: log,
  });
  const instructions = returnInstructions(program.returns ?? 0);
  const load = libbpf().bpf_prog_load;
  const fd = load(program.type, "probe", "Dual MIT/GPL", instructions, 2, options);
  if (fd >= 0) return fd;
  const reason = lastWord(log);
  throw new BpfError({ ...context, errno: -fd, ...(reason === "" ? {} : { detail: reason }) });
}
