import { type ChildProcess, execFileSync } from "node:child_process";
import { statSync } from "node:fs";
import { fileURLToPath } from "node:url";
import { type Limit, type Running, start } from "./commands.ts";
import { until } from "./until.ts";

export const FAULTS = fileURLToPath(new URL("../../../test/faults/", import.meta.url));

let made = 0;

/** A network namespace of the test's own, with loopback up and nothing else. */
export class Netns {
  readonly name: string;
  /** Inode number: unique among namespaces that exist now. */
  readonly inum: number;
  readonly #running = new Set<ChildProcess>();

  constructor() {
    this.name = `tw-test-${process.pid}-${++made}`;
    execFileSync("ip", ["netns", "add", this.name]);
    execFileSync("ip", ["-n", this.name, "link", "set", "lo", "up"]);
    this.inum = statSync(`/run/netns/${this.name}`).ino;
  }

  /** Sets a sysctl inside the namespace, for example `net.ipv4.ip_local_port_range`. */
  sysctl(name: string, value: string): void {
    const path = `/proc/sys/${name.replaceAll(".", "/")}`;
    this.exec("sh", "-c", `echo '${value}' > ${path}`);
  }

  exec(command: string, ...args: string[]): string {
    return execFileSync("ip", ["netns", "exec", this.name, command, ...args], { encoding: "utf8" });
  }

  spawn(command: string, ...args: string[]): Running {
    return this.#start(command, args);
  }

  #start(command: string, args: readonly string[], limit: Limit = {}): Running {
    const running = start("ip", ["netns", "exec", this.name, command, ...args], {}, "", limit);
    const { child } = running;
    this.#running.add(child);
    child.once("close", () => this.#running.delete(child));
    return running;
  }

  /** Runs a script of test/faults and returns the JSON that it prints. */
  fault<T>(script: string, ...args: string[]): T {
    return JSON.parse(this.exec("python3", `${FAULTS}${script}`, ...args)) as T;
  }

  /** As `fault`, for one that takes long: meanwhile other things go on. */
  async faultWhile<T>(script: string, ...args: string[]): Promise<T> {
    const { code, stdout, stderr } = await this.spawn("python3", `${FAULTS}${script}`, ...args)
      .done;
    if (code !== 0) throw new Error(`${script} ended with exit code ${code}: ${stderr}`);
    return JSON.parse(stdout) as T;
  }

  /** As `fault`, for one that keeps what it took until its input ends, which `end` does. */
  async faultHeld<T>(
    script: string,
    ...args: string[]
  ): Promise<{ readonly made: T; end(): Promise<void> }> {
    const command = [`${FAULTS}${script}`, ...args];
    const { child, done, stdout, stderr } = this.#start("python3", command, { keepsInput: true });
    const isMade = () => stdout().endsWith("\n") || child.exitCode !== null;
    await until(isMade, script);
    if (child.exitCode !== null) throw new Error(`${script} ended: ${stderr()}`);
    const end = async () => {
      child.stdin?.end();
      await done;
    };
    return { made: JSON.parse(stdout()) as T, end };
  }

  /** With the processes that a failed test has left in it: they would keep the test's own alive. */
  delete(): void {
    for (const child of this.#running) child.kill("SIGKILL");
    execFileSync("ip", ["netns", "delete", this.name]);
  }
}
