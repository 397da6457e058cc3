import { BpfError, checkErrno, errnoName } from "./errors.ts";
import { lastErrno, libc, mallocTrim, memoryView, type Pointer } from "./ffi.ts";

const PROT_READ = 1;
const PROT_WRITE = 2;
const MAP_SHARED = 0x01;
const MAP_PRIVATE = 0x02;
const MAP_FIXED = 0x10;
const MAP_ANONYMOUS = 0x20;
const MAP_NORESERVE = 0x4000;
const MAP_FAILED = 2n ** 64n - 1n;
const SC_PAGESIZE = 30;
const F_DUPFD_CLOEXEC = 1030;

let pageSize: number | undefined;

/** Bytes of a page of memory. */
export function pageBytes(): number {
  pageSize ??= Number(libc().sysconf(SC_PAGESIZE));
  return pageSize;
}

/** @throws BpfError when there are no more descriptors. */
export function duplicateFd(fd: number): number {
  const copy = libc().fcntl(fd, F_DUPFD_CLOEXEC, 0);
  return checkErrno(copy, lastErrno(), { operation: "duplicate", object: `fd ${fd}` });
}

type Transferable = ArrayBuffer & { transfer?: (byteLength: number) => ArrayBuffer };

const unreachable = new FinalizationRegistry<[Pointer, number]>(([address, byteLength]) => {
  libc().munmap(address, byteLength);
});

/** Memory of the kernel's, shared with it. */
export class Mapping {
  readonly buffer: ArrayBuffer;
  readonly #address: Pointer;
  readonly #byteLength: number;
  #mapped = true;

  private constructor(address: Pointer, byteLength: number) {
    this.#address = address;
    this.#byteLength = byteLength;
    this.buffer = memoryView(address, byteLength);
  }

  /** @throws BpfError when the kernel refuses. Writing to a read-only mapping ends the process. */
  static create(fd: number, offset: number, byteLength: number, writable: boolean): Mapping {
    const protection = writable ? PROT_READ | PROT_WRITE : PROT_READ;
    const address = libc().mmap(null, byteLength, protection, MAP_SHARED, fd, offset);
    if (address === MAP_FAILED) {
      const errno = lastErrno();
      const detail = `${byteLength} bytes at offset ${offset}: ${errnoName(errno)}`;
      throw new BpfError({ operation: "map memory of", object: `fd ${fd}`, errno, detail });
    }
    return new Mapping(address, byteLength);
  }

  /**
   * Gives the memory up. Views that someone still holds become empty (Node 22 and newer) or
   * read zeros (Node 20, which cannot detach them); no read faults.
   */
  close(): void {
    if (!this.#mapped) return;
    this.#mapped = false;
    const buffer = this.buffer as Transferable;
    if (typeof buffer.transfer === "function") {
      buffer.transfer(0);
      libc().munmap(this.#address, this.#byteLength);
      return;
    }
    const flags = MAP_PRIVATE | MAP_ANONYMOUS | MAP_FIXED | MAP_NORESERVE;
    libc().mmap(this.#address, this.#byteLength, PROT_READ, flags, -1, 0);
    unreachable.register(buffer, [this.#address, this.#byteLength]);
  }
}

/**
 * Gives freed memory back to the kernel that glibc keeps because something above it is in use:
 * loading an object takes megabytes for a moment. Does nothing with another C library.
 */
export function returnFreedMemory(): void {
  mallocTrim()?.(0);
}
