import fc from "fast-check";
import { anyText } from "./target.ts";

/** A schema as JSON has it, of the keywords that the project's schemas use. */
interface Schema {
  readonly type?: string;
  readonly const?: unknown;
  readonly enum?: readonly unknown[];
  readonly anyOf?: readonly Schema[];
  readonly properties?: Readonly<Record<string, Schema>>;
  readonly required?: readonly string[];
  readonly items?: Schema;
  readonly pattern?: string;
  readonly minimum?: number;
  readonly maximum?: number;
}

/** Few values, so that one often meets another, beside any. */
const USUAL: Readonly<Record<string, readonly unknown[]>> = {
  address: ["10.0.0.1", "10.0.0.2", "127.0.0.1", "2001:db8::1", "0.0.0.0"],
  port: [0, 53, 443, 1024, 40_000, 65_535],
  pid: [1, 812, 813],
  comm: ["crawler", "\u001b[2J", "\u0000", "x".repeat(15)],
  cookie: ["4127", "4128"],
  inum: [4_026_532_321, 4_026_532_322],
  name: ["web", "-rf /", "\u0007"],
  protocol: ["tcp", "udp", "icmp"],
  result: ["ok", "EADDRNOTAVAIL", "EAGAIN", "ECONNREFUSED"],
  seq: [1],
  socket_cookie: ["1", "2", "3"],
};

const USUAL_WEIGHT = 6;

/** Any value that a schema takes. */
export function instanceOf(schema: object, name = ""): fc.Arbitrary<unknown> {
  const usual = USUAL[name];
  if (usual === undefined) return anyOf(schema);
  return fc.oneof(
    { weight: USUAL_WEIGHT, arbitrary: fc.constantFrom(...usual) },
    { weight: 1, arbitrary: anyOf(schema) },
  );
}

function anyOf(schema: Schema): fc.Arbitrary<unknown> {
  if ("const" in schema) return fc.constant(schema.const);
  if (schema.enum !== undefined) return fc.constantFrom(...schema.enum);
  if (schema.anyOf !== undefined) return fc.oneof(...schema.anyOf.map((part) => instanceOf(part)));
  if (schema.type === "array") return fc.array(instanceOf(schema.items ?? {}), { maxLength: 4 });
  if (schema.type === "object") return objectOf(schema);
  return scalarOf(schema);
}

function objectOf({ properties = {}, required = [] }: Schema): fc.Arbitrary<unknown> {
  const parts = Object.entries(properties).map(([name, part]) => [name, instanceOf(part, name)]);
  const requiredKeys = [...required];
  return fc.record(Object.fromEntries(parts) as Record<string, fc.Arbitrary<unknown>>, {
    requiredKeys,
    noNullPrototype: true,
  });
}

function scalarOf({ type, pattern, minimum = 0, maximum }: Schema): fc.Arbitrary<unknown> {
  if (type === "boolean") return fc.boolean();
  if (type === "null") return fc.constant(null);
  if (type === "integer") {
    return fc.integer({ min: minimum, max: maximum ?? Number.MAX_SAFE_INTEGER });
  }
  if (type === "number") return fc.double({ min: minimum, noNaN: true, noDefaultInfinity: true });
  return pattern === undefined
    ? anyText(20)
    : fc.stringMatching(new RegExp(pattern), { maxLength: 80 });
}
