import { openSocket, Posix, sendTo, unixAddress } from "libbpf-ts";

const US_PER_MS = 1000;

/** How often the one-line status is told, when it has changed. */
const STATUS_MS = 5000;

/**
 * The service manager that started this process with `Type=notify`: sd_notify(3) and
 * sd_watchdog_enabled(3), by their documented variables, over a unix datagram.
 */
export class SdNotify {
  readonly #socket: number;
  readonly #address: Uint8Array;
  readonly #watchdogMs: number | undefined;
  #lastStatus = "";

  /** Undefined without one. Takes its variables out, so that no child answers in our place. */
  static find(environment: NodeJS.ProcessEnv): SdNotify | undefined {
    const { NOTIFY_SOCKET, WATCHDOG_USEC, WATCHDOG_PID } = environment;
    for (const name of ["NOTIFY_SOCKET", "WATCHDOG_USEC", "WATCHDOG_PID"]) delete environment[name];
    if (NOTIFY_SOCKET === undefined || !/^[/@]/.test(NOTIFY_SOCKET)) return undefined;
    const isOurs = WATCHDOG_PID === undefined || Number(WATCHDOG_PID) === process.pid;
    const watchdogMs = isOurs ? Number(WATCHDOG_USEC) / US_PER_MS : Number.NaN;
    return new SdNotify(NOTIFY_SOCKET, watchdogMs > 0 ? watchdogMs : undefined);
  }

  private constructor(path: string, watchdogMs: number | undefined) {
    this.#socket = openSocket(Posix.AF_UNIX, Posix.SOCK_DGRAM);
    this.#address = unixAddress(path);
    this.#watchdogMs = watchdogMs;
  }

  /**
   * The daemon serves. From now on its event loop, no other thread, says that it lives, in half of
   * the time that it has: a daemon that hangs is restarted.
   *
   * @param daemon its `summary` is one line for `systemctl status`; while it is not well, the
   *   manager hears nothing.
   */
  ready(daemon: { summary(): string; readonly isWell: boolean }): void {
    this.#lastStatus = daemon.summary();
    this.#notify(`READY=1\nSTATUS=${this.#lastStatus}`);
    this.#every(STATUS_MS, () => this.#notifyStatus(daemon.summary()));
    if (this.#watchdogMs !== undefined) {
      this.#every(this.#watchdogMs / 2, () => {
        if (daemon.isWell) this.#notify("WATCHDOG=1");
      });
    }
  }

  /** The watchdog is served on until the process ends. */
  stopping(): void {
    this.#notify("STOPPING=1\nSTATUS=stopping");
  }

  #notifyStatus(status: string): void {
    if (status === this.#lastStatus) return;
    this.#lastStatus = status;
    this.#notify(`STATUS=${status}`);
  }

  /** A service manager that does not listen any more is no reason to end. */
  #notify(state: string): void {
    try {
      sendTo(this.#socket, Buffer.from(state), this.#address);
    } catch {
      // systemd is being re-executed, or gone: the next message may arrive.
    }
  }

  #every(ms: number, act: () => void): void {
    setInterval(act, ms).unref();
  }
}
