import type { FastifyInstance, FastifyRequest } from "fastify";
import { HttpError } from "../errors.ts";
import type { Access } from "./access.ts";
import type { AccessSource } from "./access-source.ts";
import { type HostRule, hostRule } from "./hosts.ts";
import { type Login, Passwords } from "./passwords.ts";
import { checkClientCertificate } from "./tls.ts";
import { TokenBucket } from "./token-bucket.ts";
import { acceptsToken } from "./tokens.ts";

const REALM = 'realm="tuplewatch"';

/** Browsers take no answer for something else than its content type says. */
const HEADERS = { "x-content-type-options": "nosniff" };

/** Lets no request through to any route that is not allowed to. */
export class Guard {
  readonly #source: AccessSource;
  readonly #hosts: HostRule | undefined;
  readonly #passwords = new Passwords();
  #bucket: TokenBucket | undefined;
  #bucketOf: Access | undefined;

  constructor(source: AccessSource) {
    this.#source = source;
    this.#hosts = hostRule(source.config.listen, source.config.allowedHosts);
  }

  protect(app: FastifyInstance): void {
    app.addHook("onRequest", async (request, reply) => {
      const headers = { ...HEADERS, ...this.#source.current.web.headers };
      // On the raw answer, because streams write theirs there.
      for (const [name, value] of Object.entries(headers)) reply.raw.setHeader(name, value);
      this.#hosts?.(request.raw.rawHeaders);
      await this.#admit(request);
    });
    // Before privileges are dropped, after which its files may be out of reach.
    app.addHook("onReady", async () => {
      if (this.#source.config.webConfig !== "none") await this.#passwords.prepare();
    });
    app.addHook("onClose", () => this.#passwords.close());
  }

  async #admit(request: FastifyRequest): Promise<void> {
    const access = this.#source.current;
    if (!this.#mayAsk(access)) {
      const wait = { "retry-after": "1" };
      throw new HttpError(429, "rate_limited", "more requests than rate_limit allows", {}, wait);
    }
    if (access.web.tls !== undefined) {
      checkClientCertificate(access.web.tls, request.raw.socket);
    }
    const { users } = access.web;
    if (users.size === 0 && access.tokens.length === 0) return;
    const { authorization = "" } = request.headers;
    const token = /^bearer +(\S+)$/i.exec(authorization)?.[1];
    if (token !== undefined && acceptsToken(access.tokens, token)) return;
    const login = loginOf(authorization, request);
    if (login !== undefined && users.size > 0) {
      if (await this.#passwords.accepts(users, login)) return;
    }
    throw unauthorized(access, authorization !== "");
  }

  #mayAsk(access: Access): boolean {
    const now = performance.now();
    if (this.#bucketOf?.web !== access.web) {
      const { rateLimit } = access.web;
      this.#bucket = rateLimit === undefined ? undefined : new TokenBucket(rateLimit, now);
      this.#bucketOf = access;
    }
    return this.#bucket?.take(now) ?? true;
  }
}

/** The user and password of RFC 7617. */
function loginOf(authorization: string, { raw }: FastifyRequest): Login | undefined {
  const encoded = /^basic +([A-Za-z0-9+/=_-]+)$/i.exec(authorization)?.[1];
  if (encoded === undefined) return undefined;
  const [user = "", ...rest] = Buffer.from(encoded, "base64").toString().split(":");
  if (rest.length === 0) return undefined;
  return { user, password: rest.join(":"), client: raw.socket.remoteAddress ?? "" };
}

function unauthorized({ web, tokens }: Access, tried: boolean): HttpError {
  const schemes = [
    ...(web.users.size > 0 ? [`Basic ${REALM}, charset="UTF-8"`] : []),
    ...(tokens.length > 0 ? [`Bearer ${REALM}`] : []),
  ];
  const message = tried ? "the credentials are not accepted" : "credentials are needed";
  const challenge = { "www-authenticate": schemes.join(", ") };
  return new HttpError(401, "unauthorized", message, {}, challenge);
}
