import type { Socket } from "node:net";
import type { ErrorBody, ErrorCode, ErrorDetails } from "./openapi/answers.schema.ts";

/** A request that cannot be served, as the JSON body `{ "error": { code, message, ... } }`. */
export class HttpError extends Error {
  override readonly name = "HttpError";
  readonly status: number;
  readonly code: ErrorCode;
  /** More members of the body, for programs. */
  readonly details: ErrorDetails;
  readonly headers: Readonly<Record<string, string>>;

  constructor(
    status: number,
    code: ErrorCode,
    message: string,
    details: ErrorDetails = {},
    headers: Readonly<Record<string, string>> = {},
  ) {
    super(message);
    this.status = status;
    this.code = code;
    this.details = details;
    this.headers = headers;
  }
}

export function errorBody(code: ErrorCode, message: string, details: ErrorDetails = {}): string {
  const body: ErrorBody = { error: { code, message, ...details } };
  return `${JSON.stringify(body)}\n`;
}

const BROKEN_REQUESTS = new Map([
  ["HPE_HEADER_OVERFLOW", ["431 Request Header Fields Too Large", "headers_too_large"]],
  ["ERR_HTTP_REQUEST_TIMEOUT", ["408 Request Timeout", "request_timeout"]],
] as const);

/** Answers what the HTTP parser refused, before there is a request object, and hangs up. */
export function answerBrokenRequests(error: NodeJS.ErrnoException, socket: Socket): void {
  if (error.code === "ECONNRESET" || !socket.writable) {
    socket.destroy();
    return;
  }
  const known = BROKEN_REQUESTS.get(error.code as "HPE_HEADER_OVERFLOW");
  const [status, code] = known ?? ["400 Bad Request", "bad_request"];
  const body = errorBody(code, `the HTTP request cannot be read: ${error.message}`);
  const head = [
    `HTTP/1.1 ${status}`,
    "content-type: application/json; charset=utf-8",
    `content-length: ${Buffer.byteLength(body)}`,
    "connection: close",
  ];
  socket.end(`${head.join("\r\n")}\r\n\r\n${body}`);
}
