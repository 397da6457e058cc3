import { type ChildProcess, spawn } from "node:child_process";
import { mkdirSync, mkdtempSync, rmSync, writeFileSync } from "node:fs";
import { tmpdir } from "node:os";
import { dirname, join } from "node:path";
import type { Readable, Writable } from "node:stream";
import { until } from "./until.ts";

type Json = Readonly<Record<string, unknown>>;

interface Message {
  readonly id?: number;
  readonly method?: string;
  readonly sessionId?: string;
  readonly params?: Json;
  readonly result?: Json;
  readonly error?: { readonly message: string };
}

interface Waiting {
  resolve(result: Json): void;
  reject(error: Error): void;
}

const FLAGS = [
  "--headless=new",
  // Chromium does not run as root otherwise. It opens nothing but the daemon's own page here.
  "--no-sandbox",
  "--remote-debugging-pipe",
  "--disable-gpu",
  "--disable-dev-shm-usage",
  "--disable-background-networking",
  "--disable-component-update",
  "--disable-extensions",
  "--no-first-run",
  // It asks nobody for names, nor its maker for updates: the network of a test is this machine.
  "--host-resolver-rules=MAP * ~NOTFOUND , EXCLUDE 127.0.0.1",
];

const SCREENSHOT_PX = 1600;

/** The first page waits for the browser's own start. */
const START_LIMIT_MS = 30_000;

/**
 * Debian's Chromium without a window, by the DevTools protocol: JSON texts, each ended by a NUL, on
 * its descriptors 3 and 4 (--remote-debugging-pipe).
 */
export class Browser {
  readonly #child: ChildProcess;
  readonly #profile: string;
  readonly #waiting = new Map<number, Waiting>();
  readonly #pages = new Map<string, Page>();
  #lastId = 0;
  #text = "";

  constructor() {
    this.#profile = mkdtempSync(join(tmpdir(), "tuplewatch-browser-"));
    this.#child = spawn("chromium", [...FLAGS, `--user-data-dir=${this.#profile}`], {
      stdio: ["ignore", "ignore", "ignore", "pipe", "pipe"],
      env: { PATH: process.env.PATH, HOME: this.#profile },
    });
    (this.#child.stdio[4] as Readable).setEncoding("utf8").on("data", (chunk: string) => {
      const texts = (this.#text + chunk).split("\0");
      this.#text = texts.pop() ?? "";
      for (const text of texts) this.#take(JSON.parse(text) as Message);
    });
    this.#child.on("close", () => {
      for (const { reject } of this.#waiting.values()) reject(new Error("Chromium has ended"));
    });
  }

  send(method: string, params: Json = {}, sessionId?: string): Promise<Json> {
    this.#lastId += 1;
    const id = this.#lastId;
    const text = JSON.stringify({ id, method, params, ...(sessionId && { sessionId }) });
    (this.#child.stdio[3] as Writable).write(`${text}\0`);
    return new Promise((resolve, reject) => {
      const fail = ({ message }: Error) => reject(new Error(`${method}: ${message}`));
      this.#waiting.set(id, { resolve, reject: fail });
    });
  }

  /** A new tab, as of a browser that has stored nothing. */
  async open(): Promise<Page> {
    const { browserContextId } = await this.send("Target.createBrowserContext");
    const target = await this.send("Target.createTarget", { url: "about:blank", browserContextId });
    const { targetId } = target;
    const attached = await this.send("Target.attachToTarget", { targetId, flatten: true });
    const sessionId = String(attached.sessionId);
    const page = new Page((method, params) => this.send(method, params, sessionId));
    this.#pages.set(sessionId, page);
    for (const domain of ["Page", "Runtime", "Log"]) await page.send(`${domain}.enable`);
    return page;
  }

  async close(): Promise<void> {
    const ended = new Promise((resolve) => this.#child.once("close", resolve));
    if (this.#child.exitCode === null) {
      void this.send("Browser.close").catch(() => {});
      await ended;
    }
    rmSync(this.#profile, { recursive: true, force: true, maxRetries: 5 });
  }

  #take({ id, method, sessionId, params = {}, result = {}, error }: Message): void {
    if (id === undefined) {
      this.#pages.get(sessionId ?? "")?.tell(method ?? "", params);
      return;
    }
    const waiting = this.#waiting.get(id);
    this.#waiting.delete(id);
    if (error === undefined) waiting?.resolve(result);
    else waiting?.reject(new Error(error.message));
  }
}

export interface Screen {
  readonly width: number;
  readonly height: number;
  readonly scheme?: "dark" | "light";
}

/** One tab. */
export class Page {
  readonly send: (method: string, params?: Json) => Promise<Json>;
  /** Exceptions, errors of the console, violations of the policy, and requests that failed. */
  readonly complaints: string[] = [];
  #credentials: Json | undefined;

  constructor(send: (method: string, params?: Json) => Promise<Json>) {
    this.send = send;
  }

  /** A user's answer when the browser asks for a name and a password. */
  async logIn(username: string, password: string): Promise<void> {
    this.#credentials = { username, password };
    await this.send("Fetch.enable", { handleAuthRequests: true });
  }

  async visit(url: string): Promise<void> {
    await this.send("Page.navigate", { url });
    await this.waitFor(`document.readyState === "complete"`, START_LIMIT_MS);
  }

  async resize({ width, height, scheme = "light" }: Screen): Promise<void> {
    const mobile = width < 600;
    const metrics = { width, height, mobile, deviceScaleFactor: mobile ? 2 : 1 };
    await this.send("Emulation.setDeviceMetricsOverride", metrics);
    const features = [
      { name: "prefers-color-scheme", value: scheme },
      { name: "prefers-reduced-motion", value: "reduce" },
    ];
    await this.send("Emulation.setEmulatedMedia", { features });
  }

  /** The value of a JavaScript expression in the page; promises are waited for. */
  async evaluate<Value>(expression: string): Promise<Value> {
    const options = { expression, awaitPromise: true, returnByValue: true, userGesture: true };
    const { result, exceptionDetails } = await this.send("Runtime.evaluate", options);
    if (exceptionDetails !== undefined) throw new Error(JSON.stringify(exceptionDetails));
    return (result as { value: Value }).value;
  }

  async waitFor(expression: string, limitMs = 10_000): Promise<void> {
    await until(() => this.evaluate<boolean>(`Boolean(${expression})`), expression, limitMs);
  }

  /** Of the upper part of the page. */
  async screenshot(file: string): Promise<void> {
    const width = await this.evaluate<number>("innerWidth");
    const clip = { x: 0, y: 0, width, height: SCREENSHOT_PX, scale: 1 };
    const options = { format: "png", captureBeyondViewport: true, clip };
    const { data } = await this.send("Page.captureScreenshot", options);
    mkdirSync(dirname(file), { recursive: true });
    writeFileSync(file, Buffer.from(String(data), "base64"));
  }

  tell(method: string, params: Json): void {
    const answer = (name: string, more: Json = {}) =>
      // The tab may be gone by then.
      void this.send(name, { requestId: params.requestId, ...more }).catch(() => {});
    if (method === "Fetch.requestPaused") answer("Fetch.continueRequest");
    if (method === "Fetch.authRequired") {
      const response = { response: "ProvideCredentials", ...this.#credentials };
      answer("Fetch.continueWithAuth", { authChallengeResponse: response });
    }
    if (isComplaint(method, params)) this.complaints.push(JSON.stringify(params));
  }
}

function isComplaint(method: string, params: Json): boolean {
  if (method === "Runtime.exceptionThrown") return true;
  if (method === "Runtime.consoleAPICalled") {
    return ["assert", "error", "warning"].includes(String(params.type));
  }
  return method === "Log.entryAdded";
}
