import type { Registry } from "prom-client";
import { yieldToEventLoop } from "../util/yielding.ts";

/** The kernel's rings and other clients are not kept waiting for longer than that, and one family. */
const MAX_BLOCK_MS = 2;

type Family = Awaited<ReturnType<Registry["getMetricsAsJSON"]>>[number];
type Sample = Family["values"][number] & { readonly metricName?: string };

/**
 * What `registry.metrics()` gives, in the text format 0.0.4 of Prometheus, but not in one go. All
 * values are those of the moment when the last of them was collected.
 */
export async function metricsText(registry: Registry): Promise<string> {
  const families = (await registry.getMetricsAsJSON()).map(copyOf);
  const texts: string[] = [];
  let beganAtMs = performance.now();
  for (const family of families) {
    texts.push(familyText(family));
    if (performance.now() - beganAtMs < MAX_BLOCK_MS) continue;
    await yieldToEventLoop();
    beganAtMs = performance.now();
  }
  return `${texts.join("\n\n")}\n`;
}

/** The registry's own go on counting. */
function copyOf(family: Family): Family {
  return { ...family, values: family.values.map((sample) => ({ ...sample })) };
}

function familyText({ name, help, type, values }: Family): string {
  const lines = values.map((sample: Sample) => {
    const labels = Object.entries(sample.labels).map(labelText).join(",");
    const series = labels === "" ? "" : `{${labels}}`;
    return `${sample.metricName ?? name}${series} ${valueText(sample.value)}`;
  });
  return [`# HELP ${name} ${escapeText(help)}`, `# TYPE ${name} ${type}`, ...lines].join("\n");
}

function labelText([name, value]: [string, string | number | undefined]): string {
  return `${name}="${escapeText(String(value)).replaceAll('"', '\\"')}"`;
}

function escapeText(text: string): string {
  return text.replaceAll("\\", "\\\\").replaceAll("\n", "\\n");
}

function valueText(value: number): string {
  if (Number.isNaN(value)) return "Nan";
  if (Number.isFinite(value)) return String(value);
  return value < 0 ? "-Inf" : "+Inf";
}
