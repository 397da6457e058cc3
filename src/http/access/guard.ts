import type { IncomingMessage } from "node:http";
import type { FastifyInstance, FastifyRequest } from "fastify";
import { TokenBucket } from "../../util/token-bucket.ts";
import type { Client } from "../clients/client.ts";
import { HttpError } from "../errors.ts";
import type { OpenListener } from "../listen/open.ts";
import type { Access } from "./access.ts";
import { type HostRule, hostRule } from "./hosts.ts";
import { type Login, Passwords } from "./passwords.ts";
import type { AccessRules } from "./rules.ts";
import { checkClientCertificate } from "./tls.ts";
import { acceptsToken } from "./tokens.ts";

const REALM = 'realm="tuplewatch"';

/** Browsers take no answer for something else than its content type says. */
const HEADERS = { "x-content-type-options": "nosniff" };

/** Lets no request through to any route that is not allowed to. */
export class Guard {
  readonly #source: AccessRules;
  readonly #listenerOf: (request: IncomingMessage) => OpenListener;
  readonly #clientOf: (request: FastifyRequest) => Client;
  readonly #hostRules = new Map<OpenListener, HostRule>();
  readonly #passwords = new Passwords();
  #bucket: TokenBucket | undefined;
  #bucketOf: Access | undefined;

  /** `listenerOf` tells by which socket a request came, since some rules differ, `clientOf` whose it is. */
  constructor(
    source: AccessRules,
    listenerOf: (request: IncomingMessage) => OpenListener,
    clientOf: (request: FastifyRequest) => Client,
  ) {
    this.#source = source;
    this.#listenerOf = listenerOf;
    this.#clientOf = clientOf;
  }

  protect(app: FastifyInstance): void {
    app.addHook("onRequest", async (request, reply) => {
      const headers = { ...HEADERS, ...this.#source.current.web.headers };
      // On the raw answer, because streams write theirs there.
      for (const [name, value] of Object.entries(headers)) reply.raw.setHeader(name, value);
      const listener = this.#listenerOf(request.raw);
      this.#hostRule(listener)(request.raw.rawHeaders);
      await this.#admit(request, listener);
      checkScope(request, listener);
    });
    // Before privileges are dropped, after which its files may be out of reach.
    app.addHook("onReady", async () => {
      if (this.#source.config.webConfig !== "none") await this.#passwords.prepare();
    });
    app.addHook("onClose", () => this.#passwords.close());
  }

  #hostRule(listener: OpenListener): HostRule {
    const known = this.#hostRules.get(listener);
    if (known !== undefined) return known;
    const rule = hostRule(listener.wanted, this.#source.config.allowedHosts);
    this.#hostRules.set(listener, rule);
    return rule;
  }

  async #admit(request: FastifyRequest, { address }: OpenListener): Promise<void> {
    const access = this.#source.current;
    if (!this.#withinRateLimit(access)) {
      const wait = { "retry-after": "1" };
      throw new HttpError(429, "rate_limited", "more requests than rate_limit allows", {}, wait);
    }
    if (access.web.tls !== undefined && address.kind !== "unix") {
      checkClientCertificate(access.web.tls, request.raw.socket);
    }
    const { users } = access.web;
    if (users.size === 0 && access.tokens.length === 0) return;
    const { authorization = "" } = request.headers;
    const token = /^bearer +(\S+)$/i.exec(authorization)?.[1];
    if (token !== undefined && acceptsToken(access.tokens, token)) return;
    const login = loginOf(authorization, this.#clientOf(request));
    if (login !== undefined && users.size > 0) {
      if (await this.#passwords.accepts(users, login)) return;
    }
    throw unauthorized(access, authorization !== "");
  }

  #withinRateLimit(access: Access): boolean {
    const now = performance.now();
    if (this.#bucketOf?.web !== access.web) {
      const { rateLimit } = access.web;
      this.#bucket = rateLimit === undefined ? undefined : new TokenBucket(rateLimit, now);
      this.#bucketOf = access;
    }
    return this.#bucket?.take(now) ?? true;
  }
}

const METRICS_ROUTES = ["/metrics", "/healthz", "/readyz"];

/** By the route, since a path can be spelled in many ways. */
function checkScope({ routeOptions }: FastifyRequest, { wanted }: OpenListener): void {
  if (wanted.scope === "all" || METRICS_ROUTES.includes(routeOptions.url ?? "")) return;
  const message = `this address serves only ${METRICS_ROUTES.join(", ")}`;
  throw new HttpError(403, "not_served_here", message, { known: METRICS_ROUTES });
}

/** The user and password of RFC 7617. */
function loginOf(authorization: string, { owner }: Client): Login | undefined {
  const encoded = /^basic +([A-Za-z0-9+/=_-]+)$/i.exec(authorization)?.[1];
  if (encoded === undefined) return undefined;
  const [user = "", ...rest] = Buffer.from(encoded, "base64").toString().split(":");
  if (rest.length === 0) return undefined;
  return { user, password: rest.join(":"), client: owner };
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
