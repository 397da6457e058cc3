// The only file that knows C signatures and the FFI package: another backend replaces this file
// and nothing more. Signatures follow libbpf 1.1 (bpf/libbpf.h, bpf/bpf.h) and glibc.
import koffi, { type LibraryHandle, type TypeObject } from "koffi";
import { BpfError } from "./errors.ts";

/** An address in this process. C's NULL is `null`. */
export type Pointer = bigint;

/** A `void *` argument. Bytes are passed without a copy and are valid during the call only. */
export type Memory = Pointer | ArrayBufferView | null;

/** A C integer of 64 bits. As a result it is a number while that is exact. */
export type Integer64 = number | bigint;

/** One C type and the TypeScript type that goes with it. */
interface CType<T> {
  readonly c: string;
  readonly sample?: T;
}

type Signature = readonly [CType<unknown>, ...CType<unknown>[]];
type Value<C> = C extends CType<infer T> ? T : never;
type Parameters<S extends readonly unknown[]> = { [I in keyof S]: Value<S[I]> };
type Callable<S extends Signature> = S extends readonly [infer R, ...infer P]
  ? (...args: Parameters<P>) => Value<R>
  : never;
type Functions<T extends Record<string, Signature>> = { readonly [K in keyof T]: Callable<T[K]> };

const none: CType<void> = { c: "void" };
const bool: CType<boolean> = { c: "bool" };
const int: CType<number> = { c: "int" };
const u32: CType<number> = { c: "uint32_t" };
const u64: CType<Integer64> = { c: "uint64_t" };
const long: CType<Integer64> = { c: "int64_t" };
const size: CType<Integer64> = { c: "size_t" };
const text: CType<string> = { c: "str" };
const handle: CType<Pointer> = { c: "void *" };
const maybeHandle: CType<Pointer | null> = { c: "void *" };
const memory: CType<Memory> = { c: "void *" };
const callback: CType<Pointer | null> = { c: "libbpf_print_fn_t *" };
const outU32: CType<[number]> = { c: "_Out_ uint32_t *" };
const inOutU32: CType<[number]> = { c: "_Inout_ uint32_t *" };
const outSize: CType<[Integer64]> = { c: "_Out_ size_t *" };

function pointerTo(name: string): CType<object | null> {
  return { c: `${name} *` };
}

/** libbpf reads as many fields as `sz`, the first, says: an older caller stays compatible. */
const OPTION_STRUCTS = {
  bpf_object_open_opts: {
    sz: "size_t",
    object_name: "str",
    relaxed_maps: "bool",
    pin_root_path: "str",
    reserved: "uint32_t",
    kconfig: "str",
    btf_custom_path: "str",
    kernel_log_buf: "void *",
    kernel_log_size: "size_t",
    kernel_log_level: "uint32_t",
  },
  bpf_kprobe_opts: {
    sz: "size_t",
    bpf_cookie: "uint64_t",
    offset: "size_t",
    retprobe: "bool",
  },
  bpf_test_run_opts: {
    sz: "size_t",
    data_in: "void *",
    data_out: "void *",
    data_size_in: "uint32_t",
    data_size_out: "uint32_t",
    ctx_in: "void *",
    ctx_out: "void *",
    ctx_size_in: "uint32_t",
    ctx_size_out: "uint32_t",
    retval: "uint32_t",
    repeat: "int",
    duration: "uint32_t",
    flags: "uint32_t",
    cpu: "uint32_t",
    batch_size: "uint32_t",
  },
} as const;

type OptionStruct = keyof typeof OPTION_STRUCTS;
type OptionValues<N extends OptionStruct> = {
  [F in keyof (typeof OPTION_STRUCTS)[N]]?: string | boolean | Integer64 | Memory;
};

const LIBBPF = {
  libbpf_major_version: [u32],
  libbpf_minor_version: [u32],
  libbpf_set_print: [maybeHandle, callback],
  libbpf_num_possible_cpus: [int],

  bpf_object__open_mem: [maybeHandle, memory, size, pointerTo("bpf_object_open_opts")],
  bpf_object__load: [int, handle],
  bpf_object__close: [none, handle],
  bpf_object__btf: [maybeHandle, handle],
  btf__raw_data: [maybeHandle, handle, outU32],
  bpf_object__next_program: [maybeHandle, handle, maybeHandle],
  bpf_object__next_map: [maybeHandle, handle, maybeHandle],

  bpf_program__name: [text, handle],
  bpf_program__section_name: [text, handle],
  bpf_program__fd: [int, handle],
  bpf_program__autoload: [bool, handle],
  bpf_program__set_autoload: [int, handle, bool],
  bpf_program__attach: [maybeHandle, handle],
  bpf_program__attach_cgroup: [maybeHandle, handle, int],
  bpf_program__attach_perf_event: [maybeHandle, handle, int],
  bpf_program__attach_kprobe_opts: [maybeHandle, handle, text, pointerTo("bpf_kprobe_opts")],

  bpf_link__fd: [int, handle],
  bpf_link__destroy: [int, handle],

  bpf_map__name: [text, handle],
  bpf_map__fd: [int, handle],
  bpf_map__max_entries: [u32, handle],
  bpf_map__set_max_entries: [int, handle, u32],
  bpf_map__reuse_fd: [int, handle, int],
  bpf_map__is_internal: [bool, handle],
  bpf_map__initial_value: [maybeHandle, handle, outSize],

  bpf_map_create: [int, int, text, u32, u32, u32, memory],
  bpf_map_lookup_elem_flags: [int, int, memory, memory, u64],
  bpf_map_update_elem: [int, int, memory, memory, u64],
  bpf_map_get_next_key: [int, int, memory, memory],

  bpf_obj_pin: [int, int, text],
  bpf_obj_get_info_by_fd: [int, int, memory, inOutU32],
  bpf_enable_stats: [int, int],
  bpf_prog_test_run_opts: [int, int, pointerTo("_Inout_ bpf_test_run_opts")],
} as const satisfies Record<string, Signature>;

/** fcntl, ioctl, openat and syscall are variadic in C; Linux's 64-bit ABIs pass integers the same way. */
const LIBC = {
  mmap: [handle, maybeHandle, size, int, int, int, long],
  munmap: [int, handle, size],
  sysconf: [long, int],
  vsnprintf: [int, memory, size, handle, memory],
  memcpy: [handle, memory, memory, size],
  close: [int, int],
  fcntl: [int, int, int, long],
  openat: [int, int, text, int],
  clock_gettime: [int, int, memory],
  clock_getres: [int, int, memory],
  socket: [int, int, int, int],
  bind: [int, int, memory, u32],
  listen: [int, int, int],
  connect: [int, int, memory, u32],
  sendto: [long, int, memory, size, int, memory, u32],
  recv: [long, int, memory, size, int],
  poll: [int, memory, u64, int],
  getsockname: [int, int, memory, memory],
  getsockopt: [int, int, int, int, memory, memory],
  setsockopt: [int, int, int, int, memory, u32],
  getrlimit: [int, int, memory],
  setns: [int, int, int],
  ioctl: [int, int, u64, long],
  prctl: [int, int, long, long, long, long],
  capset: [int, memory, memory],
  getpwuid: [maybeHandle, u32],
  pthread_sigmask: [int, int, memory, memory],
  syscall: [long, long, memory, long, long, long, long],
} as const satisfies Record<string, Signature>;

const DEFAULT_LIBRARY = "libbpf.so.1";

/** Names the environment variable that selects another libbpf, by path or soname. */
export const LIBRARY_ENVIRONMENT_VARIABLE = "LIBBPF_SO";

function bindFunctions<T extends Record<string, Signature>>(
  library: LibraryHandle,
  table: T,
): Functions<T> {
  const bound: Record<string, unknown> = {};
  for (const [name, [result, ...parameters]] of Object.entries(table)) {
    const types = parameters.map((parameter) => parameter.c).join(", ");
    bound[name] = library.func(`${result.c} ${name}(${types})`);
  }
  return bound as Functions<T>;
}

function openLibrary(): LibraryHandle {
  const name = process.env[LIBRARY_ENVIRONMENT_VARIABLE] ?? DEFAULT_LIBRARY;
  try {
    return koffi.load(name);
  } catch (error) {
    const reason = error instanceof Error ? error.message : String(error);
    throw new BpfError({
      operation: "load library",
      object: name,
      code: "ENOENT",
      detail: `${reason.trim()}; install libbpf 1.x (Debian, Ubuntu: apt install libbpf1)`,
    });
  }
}

function once<T>(make: () => T): () => T {
  let value: T | undefined;
  return () => {
    value ??= make();
    return value;
  };
}

const structTypes = once(() => {
  koffi.proto("int libbpf_print_fn_t(int level, void *format, void *arguments)");
  const types = new Map<string, TypeObject>();
  for (const [name, fields] of Object.entries(OPTION_STRUCTS)) {
    types.set(name, koffi.struct(name, { ...fields }));
  }
  return types;
});

/** libbpf's functions. The first call loads the library and throws a BpfError when it is absent. */
export const libbpf = once(() => {
  structTypes();
  const functions = bindFunctions(openLibrary(), LIBBPF);
  // By default libbpf prints to stderr; captureLog gathers what matters.
  functions.libbpf_set_print(null);
  return functions;
});

/** The C library's functions. */
export const libc = once(() => bindFunctions(koffi.load(null), LIBC));

/** glibc's malloc_trim(3); undefined where the C library is another one. */
export const mallocTrim = once((): ((keepBytes: number) => number) | undefined => {
  try {
    return koffi.load(null).func("int malloc_trim(size_t)");
  } catch {
    return undefined;
  }
});

/** An option struct: fields left out are zero, as libbpf's LIBBPF_OPTS macro makes them. */
export function optionStruct<N extends OptionStruct>(name: N, values: OptionValues<N>): object {
  const type = structTypes().get(name);
  const zero: Record<string, unknown> = {};
  for (const [field, c] of Object.entries(OPTION_STRUCTS[name])) {
    zero[field] = c === "void *" || c === "str" ? null : c === "bool" ? false : 0;
  }
  return { ...zero, ...values, sz: type === undefined ? 0 : koffi.sizeof(type) };
}

/** errno of the last call. Read it at once: any file operation in between changes it. */
export function lastErrno(): number {
  return koffi.errno();
}

/** Where bytes are: valid while they are referenced. */
export function memoryAddress(bytes: ArrayBufferView): Pointer {
  return koffi.address(bytes);
}

/** The memory at an address, without a copy. Valid only as long as the memory is. */
export function memoryView(address: Pointer, byteLength: number): ArrayBuffer {
  return koffi.view(address, byteLength);
}

/** A NUL-terminated string at an address. */
export function stringAt(address: Pointer): string {
  return koffi.decode.string(address);
}

export type PrintCallback = (level: number, format: Pointer, args: Pointer) => number;

/** Turns a function into a C function pointer for libbpf_set_print, for the process's life. */
export function registerPrintCallback(print: PrintCallback): Pointer {
  structTypes();
  return koffi.register(print, "libbpf_print_fn_t *");
}

/** Tells once, after each `arm()`, that a descriptor became readable. */
export interface Watch {
  arm(): void;
  close(): void;
  ref(): void;
  unref(): void;
}

/**
 * Calls back on the event loop when a descriptor is readable, armed from the start. koffi calls
 * outside of a Node callback scope, where neither promises nor process.nextTick get their turn:
 * the immediate, run in the same turn of the loop, gives the callback an ordinary scope.
 */
export function watchReadable(fd: number, onReadable: () => void): Watch {
  let closed = false;
  const onPoll = (): void => {
    poll.stop();
    setImmediate(() => {
      if (!closed) onReadable();
    });
  };
  const poll = koffi.node.poll(fd, { readable: true }, onPoll);
  // a closed handle must not be touched: koffi then uses a null pointer
  const unlessClosed = (act: () => void) => (): void => {
    if (!closed) act();
  };
  return {
    arm: unlessClosed(() => poll.start({ readable: true }, onPoll)),
    ref: unlessClosed(() => poll.ref()),
    unref: unlessClosed(() => poll.unref()),
    close: unlessClosed(() => {
      closed = true;
      poll.close();
    }),
  };
}
