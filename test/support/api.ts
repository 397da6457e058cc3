import type { FindingJson } from "../../src/findings/finding.ts";
import type { Status } from "../../src/http/openapi/status.schema.ts";
import type { PortReport } from "../../src/ports/report.schema.ts";
import { checkAnswer } from "./documented.ts";
import { fetchAgain } from "./fetch.ts";

/** Answers of a daemon, each as its schema has it. */

export function getStatus(url: string): Promise<Status> {
  return get(url, "/status", "");
}

export async function getFindings(url: string, query = ""): Promise<readonly FindingJson[]> {
  const body = await get<{ findings: readonly FindingJson[] }>(url, "/findings", query);
  return body.findings;
}

export function getPorts(url: string, query = ""): Promise<PortReport> {
  return get(url, "/ports", query);
}

async function get<T>(
  url: string,
  path: "/findings" | "/ports" | "/status",
  query: string,
): Promise<T> {
  const response = await fetchAgain(`${url}${path}?${query}`);
  const text = await response.text();
  if (response.status !== 200) throw new Error(`${path}: ${response.status} ${text}`);
  const body: unknown = JSON.parse(text);
  checkAnswer(path, body);
  return body as T;
}
