import type { FieldLayout } from "../btf/layout.ts";

/** "time_ns" -> "timeNs". */
export function camelCase(name: string): string {
  const parts = name.split("_").filter((part) => part !== "");
  return parts.map((part, index) => (index === 0 ? part : capital(part))).join("") || "_";
}

/** "connect_event" -> "ConnectEvent". */
export function pascalCase(name: string): string {
  return capital(camelCase(name));
}

function capital(text: string): string {
  return text.slice(0, 1).toUpperCase() + text.slice(1);
}

/** Whether a field only fills a hole. */
export function isPadding(field: FieldLayout): boolean {
  return /^_*pad(ding)?\d*$/.test(field.name);
}

/** "EVENT_TYPE_CONNECT" of enum event_type -> "connect". */
export function enumeratorNames(enumName: string, enumerators: readonly string[]): string[] {
  const own = `${enumName.toUpperCase()}_`;
  const prefix = enumerators.every((name) => name.startsWith(own))
    ? own
    : commonPrefix(enumerators);
  return enumerators.map((name) => name.slice(prefix.length).toLowerCase());
}

function commonPrefix(names: readonly string[]): string {
  let prefix = names.length > 1 ? (names[0] ?? "") : "";
  for (const name of names) {
    while (!name.startsWith(prefix)) prefix = prefix.slice(0, -1);
  }
  return prefix.slice(0, prefix.lastIndexOf("_") + 1);
}
