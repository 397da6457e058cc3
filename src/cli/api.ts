import { readFileSync } from "node:fs";
import { type IncomingMessage, type RequestOptions, request } from "node:http";
import { request as secureRequest } from "node:https";
import { UsageError } from "../config/usage-error.ts";
import { reasonOf } from "../util/errno.ts";

/** How to get to a daemon. */
export interface Target {
  /** `http://`, `https://` or `unix:/PATH`; may hold a user and a password. */
  readonly url: string;
  /** Of a file with a bearer token. */
  readonly tokenFile?: string | undefined;
  /** Of a file with the certificates to trust, for https. */
  readonly caFile?: string | undefined;
}

/** The daemon cannot be reached or refused the request. */
export class ApiError extends Error {
  override readonly name = "ApiError";
  /** Absent when there was no answer. */
  readonly status: number | undefined;

  constructor(message: string, status?: number) {
    super(message);
    this.status = status;
  }
}

/** The daemon's API as the commands use it. */
export class Api {
  readonly #secure: boolean;
  readonly #options: RequestOptions;
  readonly #name: string;

  /** @throws UsageError */
  constructor({ url, tokenFile, caFile }: Target) {
    const { name, secure, options } = parseUrl(url);
    this.#name = name;
    this.#secure = secure;
    const token =
      tokenFile === undefined ? undefined : tokenIn(readText("--token-file", tokenFile));
    this.#options = {
      ...options,
      ...(caFile !== undefined && { ca: readText("--ca-file", caFile) }),
      ...(token !== undefined && { headers: { authorization: `Bearer ${token}` } }),
    };
  }

  /** @throws ApiError */
  async getJson<T>(path: string): Promise<T> {
    const response = await this.open(path);
    return JSON.parse(await readAll(response)) as T;
  }

  /** The answer's body, as it comes. @throws ApiError */
  async open(path: string): Promise<IncomingMessage> {
    const response = await this.#send(path);
    if (response.statusCode === 200) return response;
    const said = messageIn(await readAll(response));
    throw new ApiError(`${this.#name}${path}: ${said}`, response.statusCode);
  }

  #send(path: string): Promise<IncomingMessage> {
    return new Promise((resolve, reject) => {
      const send = this.#secure ? secureRequest : request;
      const sent = send({ ...this.#options, path }, resolve);
      sent.on("error", (error) => reject(new ApiError(this.#explain(error))));
      sent.end();
    });
  }

  #explain(error: Error): string {
    const { code } = error as NodeJS.ErrnoException;
    const hint =
      code === "ECONNREFUSED" || code === "ENOENT"
        ? "; is the daemon running there? (tuplewatch run, or --url)"
        : "";
    return `cannot reach ${this.#name}: ${reasonOf(error)}${hint}`;
  }
}

interface ParsedUrl {
  /** Without the password. */
  readonly name: string;
  readonly secure: boolean;
  readonly options: RequestOptions;
}

function parseUrl(text: string): ParsedUrl {
  if (text.startsWith("unix:/")) {
    const socketPath = text.slice("unix:".length);
    // The name in the request's Host header: sockets have none.
    return { name: text, secure: false, options: { socketPath, host: "localhost" } };
  }
  const url = URL.canParse(text) ? new URL(text) : undefined;
  if (url === undefined || !["http:", "https:"].includes(url.protocol)) {
    const expected = "http://HOST:PORT, https://HOST:PORT or unix:/PATH";
    throw new UsageError([`--url: invalid value ${JSON.stringify(text)}, expected ${expected}`]);
  }
  const { username, password, hostname, port, protocol } = url;
  const auth = `${decodeURIComponent(username)}:${decodeURIComponent(password)}`;
  return {
    name: url.host,
    secure: protocol === "https:",
    options: {
      host: hostname.replace(/^\[(.*)\]$/, "$1"),
      ...(port !== "" && { port }),
      ...(username !== "" && { auth }),
    },
  };
}

/** The first of the file, which may be the one that the daemon reads. */
function tokenIn(text: string): string {
  const lines = text.split("\n").map((line) => line.trim());
  return lines.find((line) => line !== "" && !line.startsWith("#")) ?? "";
}

function readText(flag: string, path: string): string {
  try {
    return readFileSync(path, "utf8");
  } catch (error) {
    throw new UsageError([`${flag}: cannot read ${path}: ${reasonOf(error)}`]);
  }
}

async function readAll(response: IncomingMessage): Promise<string> {
  const chunks: Buffer[] = [];
  for await (const chunk of response) chunks.push(chunk as Buffer);
  return Buffer.concat(chunks).toString();
}

/** What the daemon says in the body of an error; the body itself if somebody else answers. */
function messageIn(body: string): string {
  try {
    return (JSON.parse(body) as { error: { message: string } }).error.message;
  } catch {
    return body.trim().split("\n")[0]?.slice(0, 200) || "an empty answer";
  }
}
