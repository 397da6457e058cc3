import assert from "node:assert/strict";
import { mkdtempSync, rmSync, writeFileSync } from "node:fs";
import { tmpdir } from "node:os";
import { join } from "node:path";
import { after, describe, it } from "node:test";
import { parseSettings } from "../../src/config/file.ts";
import { formatListen, listeners } from "../../src/config/listen-setting.ts";
import { defaultConfig, loadConfig } from "../../src/config/load.ts";
import {
  flagName,
  OPTION_NAMES,
  OPTIONS,
  type OptionName,
  PROBE_NAMES,
} from "../../src/config/options.ts";
import type { Setting } from "../../src/config/setting.ts";
import { UsageError } from "../../src/config/usage-error.ts";
import { parseCgroup2Mount } from "../../src/kernel/cgroup2.ts";

const directory = mkdtempSync(join(tmpdir(), "tuplewatch-config-"));
after(() => rmSync(directory, { recursive: true }));

interface Written {
  readonly flags?: Partial<Record<OptionName, string>>;
  readonly environment?: NodeJS.ProcessEnv;
  readonly file?: string;
}

function load({ flags = {}, environment = {}, file }: Written) {
  const settings = new Map<OptionName, Setting>();
  for (const name of OPTION_NAMES) {
    const text = flags[name];
    if (text !== undefined) {
      settings.set(name, { text, where: flagName(name) });
    }
  }
  const path = join(directory, "settings.yaml");
  writeFileSync(path, file ?? "");
  const configFile = file === undefined ? {} : { configFile: path };
  return loadConfig({ flags: { settings, problems: [] }, environment, ...configFile });
}

function problemsOf(written: Written): readonly string[] {
  try {
    load(written);
  } catch (error) {
    assert.ok(error instanceof UsageError);
    return error.problems.map((problem) => problem.replace(directory, ""));
  }
  return [];
}

describe("settings", () => {
  it("have defaults that pass their own checks", () => {
    for (const name of OPTION_NAMES) {
      const { type, fallback } = OPTIONS[name];
      assert.notEqual(type.parse(fallback), undefined, name);
    }
    const config = defaultConfig();
    assert.deepEqual(config.listen, [{ kind: "tcp", host: "127.0.0.1", port: 5961, scope: "all" }]);
    assert.deepEqual(config.probes, PROBE_NAMES);
    assert.equal(config.ringBytes, 1 << 20);
    assert.equal(config.journalBytes, 16 << 20);
    assert.equal(config.journalEvents, 20000);
    assert.equal(config.maxEventsPerSecond, 5000);
  });

  it("go by flag, variable, file, default", () => {
    const file = "max_clients: 3\njournal_events: 30\nring_bytes: 8KiB\n";
    const environment = { TUPLEWATCH_MAX_CLIENTS: "2", TUPLEWATCH_JOURNAL_EVENTS: "20" };
    const config = load({ flags: { maxClients: "1" }, environment, file });
    assert.equal(config.maxClients, 1);
    assert.equal(config.journalEvents, 20);
    assert.equal(config.ringBytes, 8192);
    assert.equal(config.logLevel, "info");
  });

  it("take the file from TUPLEWATCH_CONFIG too, and the flag's instead", () => {
    const [one, two] = [join(directory, "one.yaml"), join(directory, "two.yaml")];
    writeFileSync(one, "max_clients: 11\n");
    writeFileSync(two, "max_clients: 12\n");
    const flags = { settings: new Map(), problems: [] };
    const environment = { TUPLEWATCH_CONFIG: one };
    assert.equal(loadConfig({ flags, environment }).maxClients, 11);
    assert.equal(loadConfig({ flags, environment, configFile: two }).maxClients, 12);
  });

  it("name flag, variable and line of each mistake, all at once", () => {
    const problems = problemsOf({
      flags: { listen: "nowhere", probes: "connect,conect" },
      environment: { TUPLEWATCH_RING_BYTES: "5000", TUPLEWATCH_LOG_LEVLE: "info" },
      file: "# settings\nmax_clients: -1\njournal_evnts: 5\njournal_bytes: {a: 1}\n",
    });
    const expected = [
      /^TUPLEWATCH_LOG_LEVLE: unknown setting \(did you mean TUPLEWATCH_LOG_LEVEL\?\)$/,
      /^\/settings.yaml:3: journal_evnts: unknown key \(did you mean journal_events\?\)$/,
      /^\/settings.yaml:4: journal_bytes: expected a single value or a list/,
      /^--listen: invalid value "nowhere", expected HOST:PORT such as 127.0.0.1:5961/,
      /^--probes: invalid value "connect,conect", expected all, or a comma-separated list/,
      /^TUPLEWATCH_RING_BYTES: invalid value "5000", expected a power of two from 4KiB to 512MiB/,
      /^\/settings.yaml:2: max_clients: invalid value "-1", expected a whole number from 1/,
    ];
    for (const pattern of expected) {
      assert.equal(problems.filter((problem) => pattern.test(problem)).length, 1, `${pattern}`);
    }
    assert.equal(problems.length, expected.length, problems.join("\n"));
  });

  it("are wrong even where a stronger source covers them", () => {
    const environment = { TUPLEWATCH_MAX_CLIENTS: "many" };
    const problems = problemsOf({ flags: { maxClients: "5" }, environment });
    assert.equal(problems.length, 1);
  });

  it("ignore what Kubernetes sets for a Service of this name, but no misspelling", () => {
    const service = {
      TUPLEWATCH_SERVICE_HOST: "10.0.0.1",
      TUPLEWATCH_SERVICE_PORT: "5961",
      TUPLEWATCH_SERVICE_PORT_HTTP: "5961",
      TUPLEWATCH_PORT: "tcp://10.0.0.1:5961",
      TUPLEWATCH_PORT_5961_TCP: "tcp://10.0.0.1:5961",
      TUPLEWATCH_PORT_5961_TCP_ADDR: "10.0.0.1",
      TUPLEWATCH_METRICS_PORT_9100_TCP_PROTO: "tcp",
      TUPLEWATCH_LISTEN: "",
    };
    assert.deepEqual(problemsOf({ environment: service }), []);
    assert.equal(problemsOf({ environment: { TUPLEWATCH_PROTS: "1" } }).length, 1);
  });
});

describe("the settings file", () => {
  const broken: [string, string, RegExp][] = [
    ["bad YAML", "listen: [\n", /^f:\d+: /],
    [
      "a key twice",
      "max_clients: 1\nmax_clients: 2\n",
      /^f:2: max_clients: the key is there twice$/,
    ],
    ["a list at the top", "- a\n", /^f:1: expected "key: value" lines$/],
    ["no value", "listen:\n", /^f:1: listen: expected a single value/],
    ["a nested list", "probes: [[connect]]\n", /^f:1: probes: /],
  ];
  for (const [what, text, pattern] of broken) {
    it(`is refused with ${what}`, () => {
      const { problems } = parseSettings("f", text);
      assert.equal(problems.length, 1, problems.join("\n"));
      assert.match(problems[0] ?? "", pattern);
    });
  }

  it("is read, or refused with a few of its mistakes, at little cost however long it is", () => {
    const lines = (make: (index: number) => string) =>
      Array.from({ length: 8000 }, (_, i) => make(i));
    const before = process.cpuUsage();
    for (const text of [
      lines((i) => `k${i}: 1`).join("\n"),
      lines(() => "a: 1").join("\n"),
      lines(() => "a: ]").join("\n"),
      "[".repeat(64 * 1024),
    ]) {
      assert.equal(parseSettings("f", text).problems.length, 20);
    }
    const { user, system } = process.cpuUsage(before);
    assert.ok(user + system < 10e6, `${user + system} us of CPU time`);
  });

  it("does not repeat control characters of names and values", () => {
    const { problems } = parseSettings("f", '"\\e[2J\\x9b": 1\n');
    assert.deepEqual(problems, ['f:1: "\\u001b[2J\\u009b": unknown key']);
    assert.match(
      parseSettings("f", "a: }\u009b").problems.join(),
      /^f:1: [^\u009b]+\ufffd[^\u009b]*$/,
    );
  });

  it("may be empty, and may list probes", () => {
    assert.deepEqual(parseSettings("f", "").problems, []);
    assert.deepEqual(parseSettings("f", "# nothing\n").problems, []);
    const config = load({ file: "probes: [connect, challenge_ack]\nlisten: '[::1]:80'\n" });
    assert.deepEqual(config.probes, ["challenge_ack", "connect"]);
    assert.deepEqual(config.listen.map(formatListen), ["[::1]:80"]);
  });

  it("that cannot be read says why", () => {
    const flags = { settings: new Map(), problems: [] };
    for (const [configFile, reason] of [
      [join(directory, "absent"), "no such file or directory (ENOENT)"],
      [directory, "it is a directory (EISDIR)"],
    ] as const) {
      assert.throws(() => loadConfig({ flags, environment: {}, configFile }), {
        message: `${configFile}: cannot read the configuration file: ${reason}`,
      });
    }
  });
});

describe("listen addresses", () => {
  const good = ["127.0.0.1:0", "[::]:5961", "localhost:80", "node-1.example.org:1", "unix:/run/a"];
  const bad = ["", ":80", "80", "::1:80", "[::1]", "[1.2.3.4]:80", "127.0.0.256:80", "a:65536"];
  for (const text of good) {
    it(`accept ${text}`, () => {
      for (const [written, scope] of [
        [text, "all"],
        [`${text}=metrics`, "metrics"],
      ] as const) {
        const found = listeners.parse(written) ?? [];
        assert.deepEqual(found.map(formatListen), [text]);
        assert.equal(found[0]?.scope, scope);
      }
    });
  }
  for (const text of [
    ...bad,
    "unix:relative",
    `unix:/${"x".repeat(107)}`,
    "a:-1",
    "a b:1",
    "a:1=metric",
    "unix:/a/",
  ]) {
    it(`refuse ${JSON.stringify(text)}`, () => {
      assert.equal(listeners.parse(text), undefined);
    });
  }
});

describe("several listen addresses", () => {
  const texts = (text: string) =>
    listeners.parse(text)?.map((one) => [formatListen(one), one.scope]);
  const both = [
    ["unix:/run/t.sock", "all"],
    ["127.0.0.1:5961", "metrics"],
  ];

  it("are separated by commas or spaces, or are a list in the file", () => {
    for (const separator of [",", " ", ", ", "\n"]) {
      assert.deepEqual(texts(`unix:/run/t.sock${separator}127.0.0.1:5961=metrics`), both);
    }
    const { listen } = load({ file: "listen: [unix:/run/t.sock, 127.0.0.1:5961=metrics]\n" });
    assert.deepEqual(listen, listeners.parse("unix:/run/t.sock,127.0.0.1:5961=metrics"));
    const environment = { TUPLEWATCH_LISTEN: "systemd=metrics unix:/run/t.sock" };
    assert.deepEqual(load({ environment }).listen.map(formatListen), [
      "systemd",
      "unix:/run/t.sock",
    ]);
  });

  it("are there once each", () => {
    for (const text of ["a:1,a:1", "a:1 a:1=metrics", "systemd,systemd", ",", "unix:/a unix:/a"]) {
      assert.equal(listeners.parse(text), undefined, text);
    }
    const [problem = ""] = problemsOf({ flags: { listen: "a:1,a:1" } });
    assert.match(problem, /^--listen: invalid value "a:1,a:1", expected .* several, each once/);
  });

  it("are told of one by one where they are wrong", () => {
    const problems = problemsOf({ flags: { listen: "a:1,b,[::1]:80=all c:1=metrics" } });
    assert.deepEqual(
      problems.map((problem) => /^--listen: invalid value ("\S+"), expected/.exec(problem)?.[1]),
      ['"b"', '"[::1]:80=all"'],
    );
  });
});

describe("sizes", () => {
  const cases: [string, number | undefined][] = [
    ["4096", 4096],
    ["512KiB", 524288],
    ["1 MiB", 1048576],
    ["1mib", 1048576],
    ["3MiB", undefined],
    ["2048", undefined],
    ["1MB", undefined],
    ["-1", undefined],
    ["1e6", undefined],
    ["0x1000", undefined],
    ["2GiB", undefined],
    ["99999999999999999999", undefined],
  ];
  for (const [text, bytes] of cases) {
    it(`${text} is ${bytes ?? "refused"} as a ring's`, () => {
      assert.equal(OPTIONS.ringBytes.type.parse(text), bytes);
    });
  }
});

describe("cgroup2", () => {
  it("is found in mountinfo, on hybrid hosts and with escaped names", () => {
    const v1 = "30 23 0:26 / /sys/fs/cgroup/cpu rw - cgroup cgroup rw,cpu";
    const bind = "40 23 0:27 /kubepods /mnt/x rw - cgroup2 cgroup2 rw";
    const v2 = "31 23 0:27 / /sys/fs/my\\040cgroup rw shared:9 - cgroup2 cgroup2 rw";
    assert.equal(parseCgroup2Mount([v1, bind, v2].join("\n")), "/sys/fs/my cgroup");
    assert.equal(parseCgroup2Mount(v1), undefined);
  });
});
