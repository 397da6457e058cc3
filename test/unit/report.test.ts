import assert from "node:assert/strict";
import { describe, it } from "node:test";
import { type CheckReport, isUsable, reportAsJson, reportAsText } from "../../src/cli/report.ts";
import { wantsColour } from "../../src/cli/style.ts";

const REPORT: CheckReport = {
  kernel: "6.12.0",
  arch: "x64",
  node: "v20.0.0",
  libbpf: "1.1.2",
  facts: [{ name: "cgroup2", value: "/sys/fs/cgroup" }],
  probes: [
    {
      probe: "connect",
      chosen: "kprobe",
      backends: [
        { backend: "fentry", available: false, reason: "not permitted (EPERM)" },
        { backend: "kprobe", available: true },
      ],
    },
  ],
};

describe("the check report", () => {
  it("prints each backend with its reason", () => {
    const text = reportAsText(REPORT, false);
    assert.match(text, /^kernel +6\.12\.0 \(x64\)$/m);
    assert.match(text, /^connect will use kprobe$/m);
    assert.match(text, /^ {2}fentry +no +not permitted \(EPERM\)$/m);
    assert.match(text, /^ {2}kprobe +yes$/m);
    assert.ok(!text.includes("\u001b"));
    assert.ok(reportAsText(REPORT, true).includes("\u001b[32m"));
  });

  it("is the same as JSON", () => {
    assert.deepEqual(JSON.parse(reportAsJson(REPORT)), REPORT);
  });

  it("is unusable when a probe has no backend", () => {
    assert.equal(isUsable(REPORT), true);
    const probes = [{ probe: "connect", backends: [] }] as const;
    assert.equal(isUsable({ ...REPORT, probes }), false);
    assert.match(reportAsText({ ...REPORT, probes }, false), /connect will use nothing/);
  });

  it("is in colour on a terminal only, and never against NO_COLOR", () => {
    const terminal = { isTTY: true } as NodeJS.WriteStream;
    const pipe = {} as NodeJS.WriteStream;
    assert.equal(wantsColour(terminal, {}), true);
    assert.equal(wantsColour(terminal, { NO_COLOR: "1" }), false);
    assert.equal(wantsColour(pipe, {}), false);
  });
});
