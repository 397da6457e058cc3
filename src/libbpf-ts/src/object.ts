import { readFileSync } from "node:fs";
import { basename } from "node:path";
import { MapFlag } from "./constants.ts";
import { BpfError, checkPointer, checkResult } from "./errors.ts";
import { libbpf, memoryView, optionStruct, type Pointer } from "./ffi.ts";
import { type GlobalValue, GlobalVariables } from "./globals.ts";
import { readMapInfo } from "./info.ts";
import type { Link } from "./link.ts";
import { captureLog, DEFAULT_VERIFIER_LINES, summariseLog } from "./log.ts";
import { BpfMap } from "./map.ts";
import { Mapping, pageBytes } from "./memory.ts";
import { OpenMap } from "./open-map.ts";
import { OpenProgram, Program } from "./program.ts";
import { withSignalsBlocked } from "./signals.ts";

type Next = (object: Pointer, after: Pointer | null) => Pointer | null;

function walk(object: Pointer, next: Next): Pointer[] {
  const found: Pointer[] = [];
  for (let item = next(object, null); item !== null; item = next(object, item)) found.push(item);
  return found;
}

function byName<T extends { readonly name: string }>(items: readonly T[]): Map<string, T> {
  return new Map(items.map((item) => [item.name, item]));
}

function pick<T>(items: ReadonlyMap<string, T>, kind: string, name: string, owner: string): T {
  const item = items.get(name);
  if (item !== undefined) return item;
  const known = [...items.keys()].join(", ") || "none";
  throw new BpfError({
    operation: `find ${kind}`,
    object: `${name} in ${owner}`,
    code: "ENOENT",
    detail: `known: ${known}`,
  });
}

export interface OpenOptions {
  /** Raw BTF to relocate by in place of the kernel's own. */
  readonly btfPath?: string;
}

export interface LoadOptions {
  /** Lines of each verifier log that an error keeps, from its end. Default 20. */
  readonly verifierLines?: number;
}

/** An object file that is parsed, to be configured and then loaded. */
export class OpenObject {
  readonly name: string;
  readonly programs: ReadonlyMap<string, OpenProgram>;
  readonly maps: ReadonlyMap<string, OpenMap>;
  readonly #globals: GlobalVariables;
  #pointer: Pointer | undefined;

  private constructor(name: string, pointer: Pointer) {
    this.name = name;
    this.#pointer = pointer;
    this.#globals = new GlobalVariables(name, pointer);
    const use = (item: Pointer): Pointer => {
      this.#require();
      return item;
    };
    const { bpf_object__next_program, bpf_object__next_map } = libbpf();
    this.programs = byName(
      walk(pointer, bpf_object__next_program).map((item) => new OpenProgram(item, use)),
    );
    this.maps = byName(walk(pointer, bpf_object__next_map).map((item) => new OpenMap(item, use)));
  }

  /**
   * Opens an ELF object file made by `clang -target bpf`.
   *
   * @throws BpfError when the file cannot be read or is no BPF object.
   */
  static openFile(path: string, options: OpenOptions = {}): OpenObject {
    let bytes: Uint8Array;
    try {
      bytes = readFileSync(path);
    } catch (error) {
      const { code = "EIO" } = error as NodeJS.ErrnoException;
      throw new BpfError({ operation: "open object", object: path, code });
    }
    const name = basename(path).replace(/(\.bpf)?\.o$/, "");
    return OpenObject.openBuffer(bytes, name, options);
  }

  /** As `openFile`, from bytes, which libbpf copies. `name` appears in errors and map names. */
  static openBuffer(bytes: Uint8Array, name: string, options: OpenOptions = {}): OpenObject {
    const opts = optionStruct("bpf_object_open_opts", {
      object_name: name,
      btf_custom_path: options.btfPath ?? null,
    });
    const { result, errno, log } = captureLog(() =>
      libbpf().bpf_object__open_mem(bytes, bytes.byteLength, opts),
    );
    const context = { operation: "open object", object: name, log: summariseLog(log) };
    return new OpenObject(name, checkPointer(result, errno, context));
  }

  /** @throws BpfError that names the known programs. */
  program(name: string): OpenProgram {
    return pick(this.programs, "program", name, this.name);
  }

  /** @throws BpfError that names the known maps. */
  map(name: string): OpenMap {
    return pick(this.maps, "map", name, this.name);
  }

  /** The names of all global variables. */
  get globals(): string[] {
    return this.#globals.names;
  }

  /**
   * Sets the initial value of a global variable; of a `const volatile` one for good.
   *
   * @throws BpfError that names the known variables, or says why the value does not fit.
   */
  setGlobal(variable: string, value: GlobalValue): void {
    this.#require();
    this.#globals.write(variable, value, (map) => this.#initialValue(map));
  }

  /** The initial value of a global variable. */
  getGlobal(variable: string): GlobalValue {
    this.#require();
    return this.#globals.read(variable, (map) => this.#initialValue(map));
  }

  /**
   * Creates the maps and loads the programs, without being interrupted. The open object is used up,
   * whatever happens.
   *
   * @throws BpfError with libbpf's messages and the end of the verifier's log.
   */
  load({ verifierLines = DEFAULT_VERIFIER_LINES }: LoadOptions = {}): LoadedObject {
    const pointer = this.#require();
    this.#pointer = undefined;
    const { result, log } = captureLog(() =>
      withSignalsBlocked(() => libbpf().bpf_object__load(pointer)),
    );
    if (result < 0) {
      libbpf().bpf_object__close(pointer);
      const context = { operation: "load object", object: this.name };
      checkResult(result, { ...context, log: summariseLog(log, verifierLines) });
    }
    return new LoadedObject(this.name, pointer, this.#globals);
  }

  /** Gives the object up without loading it. Does nothing the second time, or after `load()`. */
  close(): void {
    const pointer = this.#pointer;
    this.#pointer = undefined;
    if (pointer !== undefined) libbpf().bpf_object__close(pointer);
  }

  #initialValue(map: Pointer): Uint8Array {
    const size: [number | bigint] = [0];
    const address = libbpf().bpf_map__initial_value(map, size);
    const context = { operation: "read initial value of map", object: this.name };
    return new Uint8Array(memoryView(checkPointer(address, 0, context), Number(size[0])));
  }

  #require(): Pointer {
    if (this.#pointer !== undefined) return this.#pointer;
    const detail = "the open object was loaded or closed";
    throw new BpfError({ operation: "use object", object: this.name, code: "EBADF", detail });
  }
}

/** An object whose maps and programs are in the kernel. */
export class LoadedObject {
  readonly name: string;
  readonly programs: ReadonlyMap<string, Program>;
  readonly maps: ReadonlyMap<string, BpfMap>;
  readonly #links = new Set<Link>();
  readonly #globals: GlobalVariables;
  readonly #sections = new Map<Pointer, Mapping>();
  #pointer: Pointer | undefined;

  /** Made by OpenObject's `load()`. */
  constructor(name: string, pointer: Pointer, globals: GlobalVariables) {
    this.name = name;
    this.#globals = globals;
    this.#pointer = pointer;
    const use = (item: Pointer): Pointer => {
      this.#require();
      return item;
    };
    const { bpf_object__next_program, bpf_object__next_map } = libbpf();
    const { bpf_map__name, bpf_map__fd } = libbpf();
    this.programs = byName(
      walk(pointer, bpf_object__next_program).map((item) => new Program(item, use, this.#links)),
    );
    this.maps = byName(
      walk(pointer, bpf_object__next_map)
        .filter((item) => bpf_map__fd(item) >= 0)
        .map((item) => new BpfMap(bpf_map__name(item), () => bpf_map__fd(use(item)))),
    );
  }

  /** @throws BpfError that names the known programs. */
  program(name: string): Program {
    return pick(this.programs, "program", name, this.name);
  }

  /** @throws BpfError that names the known maps. */
  map(name: string): BpfMap {
    return pick(this.maps, "map", name, this.name);
  }

  /**
   * Sets a variable of .data or .bss, which the programs see at once.
   *
   * @throws BpfError as before loading, and for a `const volatile` variable.
   */
  setGlobal(variable: string, value: GlobalValue): void {
    this.#require();
    this.#globals.write(variable, value, (map) => this.#memory(map, variable, true));
  }

  /** The value of a global variable at this moment. */
  getGlobal(variable: string): GlobalValue {
    this.#require();
    return this.#globals.read(variable, (map) => this.#memory(map, variable, false));
  }

  /** Closes all links, then the programs and maps. Does nothing the second time. */
  close(): void {
    const pointer = this.#pointer;
    if (pointer === undefined) return;
    this.#pointer = undefined;
    for (const link of [...this.#links]) link.close();
    for (const section of this.#sections.values()) section.close();
    libbpf().bpf_object__close(pointer);
  }

  #memory(map: Pointer, variable: string, write: boolean): Uint8Array {
    const fd = libbpf().bpf_map__fd(map);
    const info = readMapInfo(fd);
    const readOnly = (info.flags & MapFlag.RDONLY_PROG) !== 0;
    if (write && readOnly) {
      const detail = "it is const: set it before the object is loaded";
      throw new BpfError({ operation: "set variable", object: variable, code: "EPERM", detail });
    }
    if ((info.flags & MapFlag.MMAPABLE) === 0) return this.#copy(map, variable, write);
    let section = this.#sections.get(map);
    if (section === undefined) {
      section = Mapping.create(
        fd,
        0,
        Math.ceil(info.valueSize / pageBytes()) * pageBytes(),
        !readOnly,
      );
      this.#sections.set(map, section);
    }
    return new Uint8Array(section.buffer, 0, info.valueSize);
  }

  /** libbpf makes a section mappable only when one of its variables is not static. */
  #copy(map: Pointer, variable: string, write: boolean): Uint8Array {
    const name = libbpf().bpf_map__name(map);
    if (write) {
      const detail = `${name} holds only static variables, which cannot be shared`;
      throw new BpfError({ operation: "set variable", object: variable, code: "EPERM", detail });
    }
    return this.map(name).lookup(0) ?? new Uint8Array(0);
  }

  #require(): Pointer {
    if (this.#pointer !== undefined) return this.#pointer;
    const detail = "the object is closed";
    throw new BpfError({ operation: "use object", object: this.name, code: "EBADF", detail });
  }
}
