import { BpfError, checkErrno } from "./errors.ts";
import { lastErrno, libc } from "./ffi.ts";

const AF_NETLINK = 16;
const SOCK_RAW = 3;
const SOCK_CLOEXEC = 0o2000000;
const MSG_DONTWAIT = 0x40;
const RECEIVE_BYTES = 64 * 1024;

/** struct sockaddr_nl of the kernel: family, pad, port id 0, no groups. */
const KERNEL_ADDRESS = new Uint8Array(12);
new DataView(KERNEL_ADDRESS.buffer).setUint16(0, AF_NETLINK, true);

/** A netlink socket for requests that the kernel answers within the call (netlink(7)). */
export class NetlinkSocket {
  readonly #fd: number;
  readonly #object: string;
  #closed = false;

  private constructor(fd: number, object: string) {
    this.#fd = fd;
    this.#object = object;
  }

  /**
   * @param protocol NETLINK_*, for example 12 for netfilter.
   * @throws BpfError when the kernel has no such family.
   */
  static open(protocol: number): NetlinkSocket {
    const object = `netlink family ${protocol}`;
    const fd = libc().socket(AF_NETLINK, SOCK_RAW | SOCK_CLOEXEC, protocol);
    return new NetlinkSocket(checkErrno(fd, lastErrno(), { operation: "open", object }), object);
  }

  send(message: Uint8Array): void {
    this.#check();
    const address = KERNEL_ADDRESS;
    const sent = libc().sendto(this.#fd, message, message.length, 0, address, address.length);
    checkErrno(Number(sent), lastErrno(), { operation: "send to", object: this.#object });
  }

  /** One datagram, of one or more messages. Never blocks: EAGAIN when there is none. */
  receive(): Uint8Array {
    this.#check();
    const buffer = new Uint8Array(RECEIVE_BYTES);
    const length = Number(libc().recv(this.#fd, buffer, buffer.length, MSG_DONTWAIT));
    checkErrno(length, lastErrno(), { operation: "receive from", object: this.#object });
    return buffer.subarray(0, length);
  }

  close(): void {
    if (this.#closed) return;
    this.#closed = true;
    libc().close(this.#fd);
  }

  #check(): void {
    if (!this.#closed) return;
    throw new BpfError({ operation: "use", object: this.#object, code: "EBADF" });
  }
}
