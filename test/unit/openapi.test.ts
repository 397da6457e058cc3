import assert from "node:assert/strict";
import { describe, it } from "node:test";
import { Validator } from "@seriousme/openapi-schema-validator";
import { Ajv2020 } from "ajv/dist/2020.js";
import { causeNames, eventTypeNames } from "../../src/events/events.gen.ts";
import { EVENT_SCHEMAS } from "../../src/events/events.schema.ts";
import { FINDING_KINDS } from "../../src/events/finding-kinds.ts";
import { openApiDocument } from "../../src/http/openapi/openapi.ts";
import { SCHEMA_VERSION, SCHEMA_VERSION_HEADER } from "../../src/http/openapi/schema-version.ts";
import { FILTER_NAMES } from "../../src/http/query/filters.ts";
import { connectEvent } from "../support/events.ts";
import { checkEvent } from "../support/schema.ts";
import { startServer } from "../support/server.ts";

interface Operation {
  readonly parameters?: readonly { readonly name: string; readonly description: string }[];
  readonly responses: object;
}

interface Document {
  readonly info: { readonly version: string };
  readonly paths: Readonly<Record<string, { readonly get: Operation }>>;
  readonly components: { readonly schemas: Readonly<Record<string, Schema>> };
}

interface Schema {
  readonly enum?: readonly unknown[];
  readonly properties?: Readonly<Record<string, Schema>>;
  readonly [key: string]: unknown;
}

const document = openApiDocument() as Document;
const { schemas } = document.components;

describe("the OpenAPI document", () => {
  it("is one, according to the schema of OpenAPI 3.1", async () => {
    const official = new Validator();
    const { valid, errors } = await official.validate(JSON.parse(JSON.stringify(document)));
    assert.ok(valid, JSON.stringify(errors));
    assert.equal(official.version, "3.1");
  });

  it("has schemas that a validator of JSON Schema 2020-12 takes, without a loose end", () => {
    const ajv = validator();
    for (const name of Object.keys(schemas)) {
      assert.ok(ajv.getSchema(`doc#/$defs/${name}`), name);
    }
  });

  it("takes an event with a field that it does not know, as readers must", () => {
    const event = { ...connectEvent(40_000), seq: 1, type: "connect", news: true };
    assert.equal(validator().validate("doc#/$defs/Event", event), true);
    assert.throws(() => checkEvent(event), /additional properties news/);
  });

  it("has all paths that the server has for programs, and no other", async (t) => {
    const { app } = await startServer(t);
    for (const path of Object.keys(document.paths)) {
      assert.ok(app.hasRoute({ method: "GET", url: path }), path);
    }
    const served = app.printRoutes({ commonPrefix: false }).matchAll(/── \/?(\S*) \((?:GET|HEAD)/g);
    const urls = new Set([...served].map(([, url]) => `/${url}`));
    const isOfPage = (url: string) => url === "/" || url.startsWith("/assets/");
    const ofPrograms = [...urls].filter((url) => !isOfPage(url));
    assert.deepEqual(ofPrograms.sort(), Object.keys(document.paths).sort());
  });

  it("describes every filter of /events", () => {
    const names = document.paths["/events"]?.get.parameters?.map(({ name }) => name);
    for (const filter of FILTER_NAMES) assert.ok(names?.includes(filter), filter);
  });

  it("has every type of event, with the enumerations of the kernel side", () => {
    for (const type of [...Object.values(eventTypeNames), "finding", "gap"]) {
      assert.ok(EVENT_SCHEMAS[type], type);
    }
    const cause = schemas.ConntrackInsertFailedEvent?.properties?.cause;
    assert.deepEqual(cause?.enum, Object.values(causeNames));
    assert.deepEqual(schemas.Finding?.properties?.kind?.enum, FINDING_KINDS);
  });

  it("describes every field, with the unit of those that have one", () => {
    for (const [name, { properties = {} }] of Object.entries(schemas)) {
      for (const [field, schema] of Object.entries(properties)) {
        const text = JSON.stringify(schema);
        const described = /"description"|"\$ref"|"const"|"properties"/.test(text);
        const obvious = field === "ok" || /^\{"type":"array","items":\{"\$ref/.test(text);
        assert.ok(described || obvious, `${name}.${field}: ${text}`);
        if (field.endsWith("_ns")) assert.match(text, /In nanoseconds\./);
        if (/_seconds(_max)?$/.test(field)) assert.match(text, /In seconds\./);
        if (/(^|_)bytes$/.test(field)) assert.match(text, /in bytes\./);
      }
    }
  });

  it("is served, with its version, which a stream tells too", async (t) => {
    const server = await startServer(t);
    const response = await fetch(`${server.url}/openapi.json`);
    assert.deepEqual(await response.json(), JSON.parse(JSON.stringify(document)));
    assert.equal(document.info.version, SCHEMA_VERSION);
    const stream = await fetch(`${server.url}/events?follow=false`);
    assert.equal(stream.headers.get(SCHEMA_VERSION_HEADER), SCHEMA_VERSION);
  });
});

/** For the document's schemas, outside of the document. */
function validator(): Ajv2020 {
  const ajv = new Ajv2020({ strict: true });
  ajv.addKeyword("discriminator");
  const text = JSON.stringify(schemas).replaceAll("#/components/schemas/", "#/$defs/");
  ajv.addSchema({ $id: "doc", $defs: JSON.parse(text) });
  return ajv;
}
