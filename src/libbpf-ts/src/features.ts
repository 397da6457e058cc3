import { type Btf, BtfKind } from "./btf/btf.ts";
import { kernelBtf, moduleBtf } from "./btf/kernel.ts";
import { AttachType, constantName, MapType, ProgramType } from "./constants.ts";
import { BpfError, checkResult, errnoName } from "./errors.ts";
import { libbpf, libc } from "./ffi.ts";
import { openModuleBtf } from "./info.ts";
import { openKprobe, openTracepoint, setEventProgram } from "./perf-event.ts";
import { loadTinyProgram, type TinyProgram } from "./tiny-program.ts";

/** Whether this kernel, with this process's rights, permits something; and if not, why. */
export type Probe = { readonly ok: true } | { readonly ok: false; readonly reason: string };

const OK: Probe = { ok: true };

/** Runs something that opens descriptors and closes them all. */
function attempt(run: (keep: (fd: number) => number) => void): Probe {
  const open: number[] = [];
  try {
    run((fd) => {
      open.push(fd);
      return fd;
    });
    return OK;
  } catch (error) {
    if (error instanceof BpfError) return { ok: false, reason: error.message };
    throw error;
  } finally {
    for (const fd of open.reverse()) libc().close(fd);
  }
}

function fromLibbpf(result: number, what: string): Probe {
  if (result > 0) return OK;
  const reason = result === 0 ? "not supported by this kernel" : errnoName(-result);
  return { ok: false, reason: `${what}: ${reason}` };
}

/**
 * `type` is one of ProgramType. For TRACING libbpf tries an fentry program: where only those are
 * refused, see the probes of the other kinds.
 */
export function probeProgramType(type: number): Probe {
  const what = `program type ${constantName(ProgramType, type)}`;
  return fromLibbpf(libbpf().libbpf_probe_bpf_prog_type(type, null), what);
}

/** `type` is one of MapType. */
export function probeMapType(type: number): Probe {
  const what = `map type ${constantName(MapType, type)}`;
  return fromLibbpf(libbpf().libbpf_probe_bpf_map_type(type, null), what);
}

/** `helper` is a number of enum bpf_func_id. */
export function probeHelper(programType: number, helper: number): Probe {
  const what = `helper ${helper} in program type ${constantName(ProgramType, programType)}`;
  return fromLibbpf(libbpf().libbpf_probe_bpf_helper(programType, helper, null), what);
}

/** Whether the kernel describes its types: needed for CO-RE, tp_btf, fentry and iterators. */
export function kernelBtfAvailable(): Probe {
  return attempt(() => kernelBtf());
}

function requireType(btf: Btf, name: string, kind: number, what: string): number {
  const id = btf.find(name, kind);
  if (id !== undefined) return id;
  throw new BpfError({ operation: "find", object: `${what} in ${btf.name}`, code: "ENOENT" });
}

/** Loads a tracing program that does nothing, attaches it for a moment and detaches it. */
function tryTracing(keep: (fd: number) => number, program: TinyProgram, object: string): void {
  const fd = keep(loadTinyProgram(program, { operation: "load program for", object }));
  const link = libbpf().bpf_raw_tracepoint_open(null, fd);
  keep(checkResult(link, { operation: "attach program to", object }));
}

export interface FunctionProbeOptions {
  /** The module that has the function; left out for the kernel itself. */
  readonly module?: string;
}

function probeTrampoline(
  kind: "fentry" | "fexit",
  name: string,
  { module }: FunctionProbeOptions,
): Probe {
  return attempt((keep) => {
    const btf = module === undefined ? kernelBtf() : moduleBtf(module);
    const btfId = requireType(btf, name, BtfKind.FUNC, `function ${name}`);
    const attachType = kind === "fentry" ? AttachType.TRACE_FENTRY : AttachType.TRACE_FEXIT;
    const program: TinyProgram = { type: ProgramType.TRACING, attachType, btfId };
    const btfFd = module === undefined ? undefined : keep(openModuleBtf(module));
    tryTracing(keep, btfFd === undefined ? program : { ...program, btfFd }, `${kind}/${name}`);
  });
}

/** Whether a program can run at the entry of this function. */
export function probeFentry(functionName: string, options: FunctionProbeOptions = {}): Probe {
  return probeTrampoline("fentry", functionName, options);
}

/** Whether a program can run at the return of this function. */
export function probeFexit(functionName: string, options: FunctionProbeOptions = {}): Probe {
  return probeTrampoline("fexit", functionName, options);
}

/** Whether a program can run at this tracepoint with typed arguments. */
export function probeTpBtf(tracepoint: string): Probe {
  return attempt((keep) => {
    const what = `tracepoint ${tracepoint}`;
    const btfId = requireType(kernelBtf(), `btf_trace_${tracepoint}`, BtfKind.TYPEDEF, what);
    const attachType = AttachType.TRACE_RAW_TP;
    tryTracing(keep, { type: ProgramType.TRACING, attachType, btfId }, `tp_btf/${tracepoint}`);
  });
}

/** Whether there is such a BPF iterator: "tcp", "task". */
export function probeIterator(iterator: string): Probe {
  return attempt((keep) => {
    const what = `iterator ${iterator}`;
    const btfId = requireType(kernelBtf(), `bpf_iter_${iterator}`, BtfKind.FUNC, what);
    const attachType = AttachType.TRACE_ITER;
    const program = { type: ProgramType.TRACING, attachType, btfId };
    keep(loadTinyProgram(program, { operation: "load program for", object: `iter/${iterator}` }));
  });
}

/** Loads a program that does nothing and lets a perf event run it for a moment. */
function tryEvent(
  keep: (fd: number) => number,
  type: number,
  object: string,
  openEvent: () => number,
): void {
  const event = keep(openEvent());
  const fd = keep(loadTinyProgram({ type }, { operation: "load program for", object }));
  setEventProgram(event, fd, object);
}

/** Whether a program can be attached to this tracepoint, through tracefs and perf. */
export function probeTracepoint(category: string, name: string): Probe {
  const object = `tracepoint ${category}/${name}`;
  return attempt((keep) =>
    tryEvent(keep, ProgramType.TRACEPOINT, object, () => openTracepoint(category, name)),
  );
}

/** Whether a program can run at this function's entry, or its return, by kprobe. */
export function probeKprobe(functionName: string, { ret = false } = {}): Probe {
  const object = `${ret ? "kretprobe" : "kprobe"} ${functionName}`;
  return attempt((keep) =>
    tryEvent(keep, ProgramType.KPROBE, object, () => openKprobe(functionName, ret)),
  );
}

const CGROUP_PROGRAM_TYPES: ReadonlyMap<number, number> = new Map([
  [AttachType.CGROUP_INET_INGRESS, ProgramType.CGROUP_SKB],
  [AttachType.CGROUP_INET_EGRESS, ProgramType.CGROUP_SKB],
  [AttachType.CGROUP_INET_SOCK_CREATE, ProgramType.CGROUP_SOCK],
  [AttachType.CGROUP_INET_SOCK_RELEASE, ProgramType.CGROUP_SOCK],
  [AttachType.CGROUP_INET4_POST_BIND, ProgramType.CGROUP_SOCK],
  [AttachType.CGROUP_INET6_POST_BIND, ProgramType.CGROUP_SOCK],
  [AttachType.CGROUP_SOCK_OPS, ProgramType.SOCK_OPS],
  [AttachType.CGROUP_SYSCTL, ProgramType.CGROUP_SYSCTL],
  [AttachType.CGROUP_GETSOCKOPT, ProgramType.CGROUP_SOCKOPT],
  [AttachType.CGROUP_SETSOCKOPT, ProgramType.CGROUP_SOCKOPT],
]);

/**
 * Whether a program of this attach type (one of AttachType) loads, and, where a descriptor of a
 * cgroup v2 directory is given, can be attached to it, which is done for a moment.
 */
export function probeCgroup(attachType: number, cgroupFd?: number): Probe {
  return attempt((keep) => {
    const object = `cgroup hook ${constantName(AttachType, attachType)}`;
    // All the others work on a socket address.
    const type = CGROUP_PROGRAM_TYPES.get(attachType) ?? ProgramType.CGROUP_SOCK_ADDR;
    // 1 lets pass what the program judges.
    const program = { type, attachType, returns: 1 };
    const fd = keep(loadTinyProgram(program, { operation: "load program for", object }));
    if (cgroupFd === undefined) return;
    const link = libbpf().bpf_link_create(fd, cgroupFd, attachType, null);
    keep(checkResult(link, { operation: "attach program to", object }));
  });
}
