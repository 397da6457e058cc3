import { BpfError, checkPointer, checkResult } from "./errors.ts";
import { lastErrno, libbpf, type Pointer } from "./ffi.ts";

/**
 * An attached program. It stays attached until `close()`, the end of the process, or, once pinned,
 * until the pin is removed too.
 */
export class Link {
  /** Name of the program, or the path it was opened from. */
  readonly name: string;
  #pointer: Pointer | undefined;
  readonly #onClose: (link: Link) => void;

  /** Made by Program's attach methods. */
  constructor(name: string, pointer: Pointer, onClose: (link: Link) => void = () => {}) {
    this.name = name;
    this.#pointer = pointer;
    this.#onClose = onClose;
  }

  /**
   * Opens a link pinned in a bpffs.
   *
   * @throws BpfError when there is no pinned link at `path`.
   */
  static openPinned(path: string): Link {
    const pointer = libbpf().bpf_link__open(path);
    const context = { operation: "open pinned link", object: path };
    return new Link(path, checkPointer(pointer, lastErrno(), context));
  }

  get closed(): boolean {
    return this.#pointer === undefined;
  }

  /** The link's file descriptor; it belongs to this object. */
  get fd(): number {
    const fd = libbpf().bpf_link__fd(this.#open("read descriptor of"));
    return checkResult(fd, { operation: "read descriptor of link", object: this.name });
  }

  /** Makes the link outlive the process. `path` is a new file in a bpffs. */
  pin(path: string): void {
    const result = libbpf().bpf_link__pin(this.#open("pin"), path);
    checkResult(result, { operation: "pin link", object: `${this.name} at ${path}` });
  }

  unpin(): void {
    const result = libbpf().bpf_link__unpin(this.#open("unpin"));
    checkResult(result, { operation: "unpin link", object: this.name });
  }

  /** Detaches, unless the link is pinned. Does nothing the second time. */
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
