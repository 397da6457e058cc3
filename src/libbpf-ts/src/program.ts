import { BpfError, checkPointer, checkResult } from "./errors.ts";
import { libbpf, libc, optionStruct, type Pointer } from "./ffi.ts";
import { type ProgramInfo, readProgramInfo } from "./info.ts";
import { Link } from "./link.ts";
import { captureLog, summariseLog } from "./log.ts";
import { openTracepoint } from "./perf-event.ts";
import { closeFd } from "./posix.ts";
import { tracepointNumber } from "./tracefs.ts";

/** A program of an object that is open and not loaded yet. */
export class OpenProgram {
  readonly name: string;
  /** The SEC() it was compiled with: "tp_btf/inet_sock_set_state". */
  readonly section: string;
  readonly #use: () => Pointer;

  /** Made by OpenObject. `use` throws once the object is consumed. */
  constructor(pointer: Pointer, use: (pointer: Pointer) => Pointer) {
    this.name = libbpf().bpf_program__name(pointer);
    this.section = libbpf().bpf_program__section_name(pointer);
    this.#use = () => use(pointer);
  }

  /** Whether `load()` loads this program. */
  get autoload(): boolean {
    return libbpf().bpf_program__autoload(this.#use());
  }

  set autoload(on: boolean) {
    const result = libbpf().bpf_program__set_autoload(this.#use(), on);
    checkResult(result, { operation: "set autoload of program", object: this.name });
  }
}

export interface KprobeOptions {
  /** Run at the function's return rather than at its entry. Default false. */
  readonly ret?: boolean;
  /** Offset into the function in bytes. Default 0. */
  readonly offset?: number;
}

export interface TestRunOptions {
  /** The program's context: arguments of a raw tracepoint program as 64-bit words. */
  readonly context?: Uint8Array;
  /** Packet bytes, for program types that have one. */
  readonly data?: Uint8Array;
  /** Number of runs, for program types that can repeat. Default 1. */
  readonly repeat?: number;
}

/** "tp" is short for it (libbpf 1.1, section_defs). */
const TRACEPOINT_SECTION = /^(?:tracepoint|tp)\/([^/]+)\/([^/]+)$/;

/** A loaded program. */
export class Program {
  readonly name: string;
  readonly section: string;
  readonly #use: () => Pointer;
  readonly #links: Set<Link>;

  /** Made by LoadedObject. `use` throws once the object is closed. */
  constructor(pointer: Pointer, use: (pointer: Pointer) => Pointer, links: Set<Link>) {
    this.name = libbpf().bpf_program__name(pointer);
    this.section = libbpf().bpf_program__section_name(pointer);
    this.#use = () => use(pointer);
    this.#links = links;
  }

  /** False for a program whose autoload was off. */
  get loaded(): boolean {
    return libbpf().bpf_program__fd(this.#use()) >= 0;
  }

  /** File descriptor, which belongs to the object; fails for a program that was not loaded. */
  get fd(): number {
    const fd = libbpf().bpf_program__fd(this.#use());
    if (fd >= 0) return fd;
    throw new BpfError({
      operation: "read descriptor of program",
      object: this.name,
      errno: -fd,
      detail: "the program was not loaded (autoload is off)",
    });
  }

  /** The kernel's id, as bpftool shows it. */
  get id(): number {
    return this.info().id;
  }

  info(): ProgramInfo {
    return readProgramInfo(this.fd);
  }

  /** How often and how long the program ran, while statistics were on: see enableRunStats. */
  runStats(): Pick<ProgramInfo, "runTimeNs" | "runCount" | "recursionMisses"> {
    const { runTimeNs, runCount, recursionMisses } = this.info();
    return { runTimeNs, runCount, recursionMisses };
  }

  /** Attaches to what the section names: tracing, tracepoints, kprobes. */
  attach(): Link {
    const [, category, event] = TRACEPOINT_SECTION.exec(this.section) ?? [];
    if (category !== undefined && event !== undefined)
      return this.attachTracepoint(category, event);
    return this.#attach(this.section, (pointer) => libbpf().bpf_program__attach(pointer));
  }

  /** Whether or not tracefs is mounted, which libbpf needs. */
  attachTracepoint(category: string, event: string): Link {
    const eventFd = openTracepoint(tracepointNumber(category, event), `${category}:${event}`);
    try {
      // The link closes the event with itself.
      return this.#attach(`tracepoint ${category}:${event}`, (pointer) =>
        libbpf().bpf_program__attach_perf_event(pointer, eventFd),
      );
    } catch (error) {
      closeFd(eventFd);
      throw error;
    }
  }

  attachCgroup(cgroupFd: number): Link {
    return this.#attach(`cgroup fd ${cgroupFd}`, (pointer) =>
      libbpf().bpf_program__attach_cgroup(pointer, cgroupFd),
    );
  }

  /** `functionName` as in /proc/kallsyms, suffixes like ".constprop.0" included. */
  attachKprobe(functionName: string, { ret = false, offset = 0 }: KprobeOptions = {}): Link {
    const options = optionStruct("bpf_kprobe_opts", { retprobe: ret, offset });
    return this.#attach(`${ret ? "kretprobe" : "kprobe"} ${functionName}`, (pointer) =>
      libbpf().bpf_program__attach_kprobe_opts(pointer, functionName, options),
    );
  }

  /**
   * Runs the program once in the kernel on the calling thread.
   *
   * @returns the program's return value, as an unsigned number.
   * @throws BpfError, ENOTSUPP for program types that cannot be run so.
   */
  testRun({ context, data, repeat = 0 }: TestRunOptions = {}): number {
    const options = optionStruct("bpf_test_run_opts", {
      ctx_in: context ?? null,
      ctx_size_in: context?.byteLength ?? 0,
      data_in: data ?? null,
      data_size_in: data?.byteLength ?? 0,
      repeat,
    }) as { retval: number };
    const result = libbpf().bpf_prog_test_run_opts(this.fd, options);
    checkResult(result, { operation: "run program", object: this.name });
    return options.retval;
  }

  #attach(target: string, attach: (pointer: Pointer) => Pointer | null): Link {
    const pointer = this.#use();
    const { result, errno, log } = captureLog(() => attach(pointer));
    const object = `${this.name} to ${target}`;
    const context = { operation: "attach program", object, log: summariseLog(log) };
    const link = new Link(this.name, checkPointer(result, errno, context), (closed) =>
      this.#links.delete(closed),
    );
    this.#links.add(link);
    return link;
  }
}

/** BPF_STATS_RUN_TIME of enum bpf_stats_type. */
const STATS_RUN_TIME = 0;

/**
 * Makes the kernel count run time and runs of every program, until `close()`. Costs two clock
 * reads per run; needs CAP_SYS_ADMIN.
 */
export function enableRunStats(): { close(): void } {
  const fd = checkResult(libbpf().bpf_enable_stats(STATS_RUN_TIME), {
    operation: "enable statistics",
    object: "run time",
  });
  let closed = false;
  return {
    close: () => {
      if (!closed) libc().close(fd);
      closed = true;
    },
  };
}
