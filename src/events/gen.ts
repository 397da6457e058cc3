import { readFileSync, writeFileSync } from "node:fs";
import { fileURLToPath } from "node:url";
import { Btf, BtfKind, generateLayouts, type StructLayout, structLayout } from "libbpf-ts";

const SOURCE = "bpf/include/events.h";
const HEADING = `// Generated from ${SOURCE}: do not edit.\n\n`;
const ROOT = new URL("../../../", import.meta.url);
const EVENT = /_event$/;
/** No events, but written by the programs and read by the daemon. */
const OTHERS = [
  "counters",
  "cgroup_path",
  "connect_kind",
  "connect_tally",
  "port_bind_kind",
  "port_entry",
];

/** Names of all types of a kind, in the order of events.h. */
function typeNames(btf: Btf, kind: number): string[] {
  const names: string[] = [];
  for (let id = 1; id < btf.endId; id++) {
    if (btf.kind(id) === kind) names.push(btf.typeName(id));
  }
  return names;
}

/**
 * What is read of every record, before anybody asks for the event: its own numbers, and by what the
 * names of the processes in it are looked up. No socket's cookie, which a double might round; what
 * reads a namespace's looks whether it did.
 */
function columnsOf(layout: StructLayout): string[] {
  return layout.fields.flatMap((field) => {
    if (field.struct !== undefined) return lookupKeys(field.struct, `${field.name}.`);
    const isNumber = /^([ui](8|16|32|64)|bool)$/.test(field.kind) && !/^pad/.test(field.name);
    return isNumber && !/_cookie$/.test(field.name) ? [field.name] : [];
  });
}

function lookupKeys(layout: StructLayout, prefix: string): string[] {
  return layout.fields.flatMap(({ name, struct }) => {
    if (struct !== undefined) return lookupKeys(struct, `${prefix}${name}.`);
    const isKey =
      layout.name === "process"
        ? name === "pid"
        : /^(cgroup_id|netns_cookie|netns_inum)$/.test(name);
    return isKey ? [`${prefix}${name}`] : [];
  });
}

const camelCase = (name: string) =>
  name.replace(/_([a-z0-9])/g, (_, letter: string) => letter.toUpperCase());
const pascalCase = (name: string) => camelCase(`_${name}`);

function layouts(btf: Btf, events: readonly StructLayout[], enums: readonly string[]): string {
  const columns = Object.fromEntries(events.map((layout) => [layout.name, columnsOf(layout)]));
  const text = generateLayouts(btf, [...OTHERS, ...Object.keys(columns)], {
    source: SOURCE,
    enums,
    columns: { ...columns, ...Object.fromEntries(OTHERS.map((name) => [name, []])) },
  });
  const records = events.map((layout) => record(layout, enums)).join("");
  return (
    `${text}\n/** Layout, decoders and enumerations of the records of each event type, by its name. */\n` +
    `export const RECORDS = {\n${records}} as const;\n`
  );
}

function record({ name, fields }: StructLayout, enums: readonly string[]): string {
  const type = name.replace(EVENT, "");
  const [upper, lower] = [pascalCase(name), camelCase(name)];
  const used = fields.filter((field) => enums.includes(field.name)).map((field) => field.name);
  const names = used.map((one) => `${camelCase(one)}: ${camelCase(one)}Names`);
  return `  ${type}: {
    type: ${JSON.stringify(type)},
    layout: ${lower}Layout,
    columns: ${lower}Columns,
    columnCount: ${lower}ColumnCount,
    enums: ${names.length === 0 ? "{}" : `{ ${names.join(", ")} }`},
    decode: decode${upper},
    decodeColumns: decode${upper}Columns,
  },
`;
}

/** The page, which knows no libbpf, needs the names alone. */
function eventTypes(types: readonly string[]): string {
  const lines = types.map((type) => `  ${JSON.stringify(type)},\n`).join("");
  return (
    `${HEADING}/** Types of the events that probes make. */\n` +
    `export const PROBE_EVENT_TYPES = [\n${lines}] as const;\n`
  );
}

function bodies(types: readonly string[]): string {
  const imports = [...types]
    .sort()
    .map((type) => `import { ${camelCase(type)}Body } from "./${type}.schema.ts";\n`);
  const entries = types.map((type) => `  ${type}: ${camelCase(type)}Body,\n`);
  return (
    `${HEADING}${imports.join("")}\n/** What each type of event that probes make has beside its head. */\n` +
    `export const PROBE_EVENT_BODIES = {\n${entries.join("")}} as const;\n`
  );
}

/**
 * `npm run gen`: writes what follows from the BTF of bpf/include/events.h; with --check only
 * compares. Returns the exit code.
 */
function main(args: readonly string[]): number {
  const object = fileURLToPath(new URL("build/bpf/events.bpf.o", ROOT));
  const btf = Btf.fromObject(readFileSync(object), "events.bpf.o");
  const structs = typeNames(btf, BtfKind.STRUCT).filter((name) => EVENT.test(name));
  const events = structs.map((name) => structLayout(btf, name));
  const types = structs.map((name) => name.replace(EVENT, ""));
  const files = {
    "src/events/events.gen.ts": layouts(btf, events, typeNames(btf, BtfKind.ENUM)),
    "src/events/event-types.gen.ts": eventTypes(types),
    "src/events/bodies.gen.ts": bodies(types),
  };
  let stale = 0;
  for (const [path, text] of Object.entries(files)) {
    const file = new URL(path, ROOT);
    if (!args.includes("--check")) {
      writeFileSync(file, text);
    } else if (readFileSync(file, "utf8") !== text) {
      process.stderr.write(`${path} is stale: run \`npm run gen\`\n`);
      stale++;
    }
  }
  return stale > 0 ? 1 : 0;
}

process.exitCode = main(process.argv.slice(2));
