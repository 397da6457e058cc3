import { checkKernel } from "./check-kernel.ts";
import { isUsable, reportAsJson, reportAsText } from "./report.ts";
import { wantsColour } from "./style.ts";

/** `tuplewatch check`: exit status 1 when some probe has no way to work. */
export async function check({ json }: { readonly json: boolean }): Promise<void> {
  const report = await checkKernel();
  const text = json
    ? reportAsJson(report)
    : reportAsText(report, wantsColour(process.stdout, process.env));
  process.stdout.write(text);
  process.exitCode = isUsable(report) ? 0 : 1;
}
