import { Type } from "typebox";
import { oneOf, type Shape, text } from "../../events/fields.schema.ts";
import { finding } from "../../events/finding.schema.ts";
import { blind } from "./status.schema.ts";

/** Body of every answer that is an error. */
export const errorAnswer = Type.Object(
  {
    error: Type.Object({
      code: oneOf(
        [
          "bad_host",
          "bad_request",
          "body_not_allowed",
          "busy",
          "client_certificate",
          "headers_too_large",
          "headers_too_many",
          "host_not_allowed",
          "internal_error",
          "invalid_value",
          "method_not_allowed",
          "not_found",
          "not_served_here",
          "rate_limited",
          "request_timeout",
          "too_many_clients",
          "too_many_filters",
          "too_many_logins",
          "unauthorized",
          "unknown_query_key",
          "uri_too_long",
        ],
        "For programs.",
      ),
      message: text("For people: what is wrong, and with what."),
      key: Type.Optional(text("Query key, or header, that is wrong.")),
      value: Type.Optional(text("What it was, cut after 80 characters.")),
      expected: Type.Optional(text("What it may be.")),
      did_you_mean: Type.Optional(text("The known key that is nearest.")),
      known: Type.Optional(Type.Array(Type.String(), { description: "All known keys, or paths." })),
      limit: Type.Optional(Type.Integer({ description: "How many there may be." })),
    }),
  },
  { title: "Error" },
);

export type ErrorBody = Shape<typeof errorAnswer>;
export type ErrorCode = ErrorBody["error"]["code"];
export type ErrorDetails = Omit<ErrorBody["error"], "code" | "message">;

/** Body of /findings. */
export const findingsBody = Type.Object({ findings: Type.Array(finding) }, { title: "Findings" });

/** Last event of a stream of server-sent events that the daemon ends. */
export const endOfStream = Type.Object(
  {
    type: Type.Literal("end"),
    reason: oneOf(
      ["complete", "displaced", "shutdown"],
      "All that was asked for, the stream was given to a client that has fewer, or the daemon is " +
        "stopping.",
    ),
  },
  { title: "EndOfStream" },
);

export type EndOfStream = Shape<typeof endOfStream>;

/** Body of /healthz. */
export const healthBody = Type.Object({ status: Type.Literal("ok") }, { title: "Health" });

/** Body of /readyz. */
export const readyBody = Type.Object(
  {
    status: oneOf(["ready", "not_ready"], "Whether a probe is attached that sees."),
    reason: Type.Optional(text("Why it is not ready.")),
    blind,
  },
  { title: "Ready" },
);

export type ReadyBody = Shape<typeof readyBody>;
