import { BpfError, checkResult } from "./errors.ts";
import { libbpf, type Pointer } from "./ffi.ts";
import { type LinkInfo, readLinkInfo } from "./info.ts";

/** An attached program. It stays attached until `close()` or the end of the process. */
export class Link {
  /** Name of the program. */
  readonly name: string;
  #pointer: Pointer | undefined;
  readonly #onClose: (link: Link) => void;

  /** Made by Program's attach methods. */
  constructor(name: string, pointer: Pointer, onClose: (link: Link) => void = () => {}) {
    this.name = name;
    this.#pointer = pointer;
    this.#onClose = onClose;
  }

  get closed(): boolean {
    return this.#pointer === undefined;
  }

  /** The link's file descriptor; it belongs to this object. */
  get fd(): number {
    const fd = libbpf().bpf_link__fd(this.#open("read descriptor of"));
    return checkResult(fd, { operation: "read descriptor of link", object: this.name });
  }

  /**
   * What the kernel says of it now; undefined where it is no link of the kernel's: before 5.15
   * kprobes hang on a perf event.
   */
  info(): LinkInfo | undefined {
    try {
      return readLinkInfo(this.fd);
    } catch (error) {
      if (error instanceof BpfError && error.code === "EINVAL") return undefined;
      throw error;
    }
  }

  /** Detaches. Does nothing the second time. */
  close(): void {
    const pointer = this.#pointer;
    if (pointer === undefined) return;
    this.#pointer = undefined;
    this.#onClose(this);
    const result = libbpf().bpf_link__destroy(pointer);
    checkResult(result, { operation: "close link", object: this.name });
  }

  #open(verb: string): Pointer {
    if (this.#pointer !== undefined) return this.#pointer;
    throw new BpfError({
      operation: `${verb} link`,
      object: this.name,
      code: "EBADF",
      detail: "the link is closed",
    });
  }
}
