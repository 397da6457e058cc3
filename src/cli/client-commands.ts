import { type Command, InvalidArgumentError, Option } from "commander";
import { WELL_KNOWN_SOCKET } from "../config/listen-setting.ts";
import { wholeNumber } from "../config/values.ts";
import { FILTER_NAMES, FILTERS } from "../http/query/filters.ts";
import { FINDING_QUERY } from "../http/query/finding-query.ts";
import type { Target } from "./api.ts";
import { completionScript, SHELLS, type Shell } from "./completion.ts";
import { DEFAULT_URL, findDaemon } from "./find-daemon.ts";
import type { FindingsOptions } from "./findings.ts";
import type { PortsOptions } from "./ports.ts";
import type { StatusOptions } from "./status.ts";
import type { TailOptions } from "./tail.ts";

/** The commands that ask a running daemon. */
export interface ClientActions {
  tail(options: TailOptions): Promise<void>;
  findings(options: FindingsOptions): Promise<void>;
  status(options: StatusOptions): Promise<void>;
  ports(options: PortsOptions): Promise<void>;
}

interface TargetFlags {
  readonly url?: string;
  readonly tokenFile?: string;
  readonly caFile?: string;
  readonly json?: true;
}

export function addClientCommands(program: Command, actions: ClientActions): void {
  addTail(program, actions);
  addFindings(program, actions);
  withTarget(program.command("status"))
    .description("show probes, backends and losses of a running daemon")
    .addHelpText("after", "\nExit status: 0 ready, 1 not ready or not reached, 2 wrong usage.\n")
    .action(async (flags: TargetFlags) =>
      actions.status({ target: await targetOf(flags), json: !!flags.json }),
    );
  withTarget(program.command("ports"))
    .description("show who holds local ports, and towards where")
    .option("--netns <NAME>", "only this network namespace: cookie, inode number or name")
    .addOption(new Option("--protocol <NAME>", "only these ports").choices(["tcp", "udp"]))
    .action(async (flags: TargetFlags & { netns?: string; protocol?: string }) => {
      const { netns, protocol } = flags;
      const target = await targetOf(flags);
      return actions.ports({ target, netns, protocol, json: !!flags.json });
    });
  program
    .command("completion")
    .description("print a script that completes commands and flags in a shell")
    .argument("<shell>", `one of ${SHELLS.join(", ")}`, shellOf)
    .addHelpText("after", "\nExample:\n  source <(tuplewatch completion bash)\n")
    .action((shell: Shell) => void process.stdout.write(completionScript(program, shell)));
}

const TAIL_HELP = `
The same filter again is "or", another filter "and". An event matches if any of its parties does.

Examples:
  tuplewatch tail                                        follow everything
  tuplewatch tail --type finding                         only diagnoses
  tuplewatch tail --type connect --result EADDRNOTAVAIL  no local port
  tuplewatch tail --address 10.0.0.0/8 --port 443
  tuplewatch tail --container 3f1c9a --json | jq .peer
  tuplewatch tail --since 0 --no-follow --limit 100      the oldest 100 still kept
  tuplewatch tail --url https://node7:5961 --token-file ~/.tuplewatch-token
`;

function addTail(program: Command, actions: ClientActions): void {
  const command = withTarget(program.command("tail"))
    .description("follow the events of a running daemon, one line each")
    .option("--since <SEQ>", "first those after this number that the daemon still has")
    .option("--limit <N>", "end after this many events", limitOf)
    .option("--no-follow", "end when there are no more events")
    .addHelpText("after", TAIL_HELP);
  for (const name of FILTER_NAMES) {
    const { expected } = FILTERS[name];
    command.option(`--${name} <VALUE>`, `only events with this ${name}: ${expected}`, collect);
  }
  command.action(async (flags: TailFlags) => {
    const { since, limit, follow } = flags;
    const filters = FILTER_NAMES.flatMap((key) =>
      (flags[key] ?? []).map((value) => [key, value] as const),
    );
    return actions.tail({
      target: await targetOf(flags),
      filters,
      since,
      limit,
      follow,
      json: !!flags.json,
    });
  });
}

type TailFlags = TargetFlags & {
  readonly since?: string;
  readonly limit?: number;
  readonly follow: boolean;
} & Readonly<Partial<Record<(typeof FILTER_NAMES)[number], string[]>>>;

function addFindings(program: Command, actions: ClientActions): void {
  withTarget(program.command("findings"))
    .description("show what is wrong, who is in it and what to do")
    .addOption(
      new Option("--kind <NAME>", "only this kind; may be repeated")
        .choices([...FINDING_QUERY.kind])
        .argParser((value: string, before: string[] = []) => [...before, checkKind(value)]),
    )
    .addOption(
      new Option(
        "--state <NAME>",
        "by default active ones and those closed within the hour",
      ).choices([...FINDING_QUERY.state]),
    )
    .action(async (flags: TargetFlags & { kind?: string[]; state?: string }) => {
      const { kind = [], state } = flags;
      const target = await targetOf(flags);
      return actions.findings({ target, kinds: kind, state, json: !!flags.json });
    });
}

function checkKind(value: string): string {
  const known: readonly string[] = FINDING_QUERY.kind;
  if (!known.includes(value)) throw new InvalidArgumentError(`Known: ${known.join(", ")}.`);
  return value;
}

const URL_HELP =
  "the daemon: http://HOST:PORT, https://HOST:PORT or unix:/PATH (default: " +
  `unix:${WELL_KNOWN_SOCKET} where it may be used, else ${DEFAULT_URL})`;

function withTarget(command: Command): Command {
  return command
    .addOption(new Option("--url <URL>", URL_HELP).env("TUPLEWATCH_URL"))
    .option("--token-file <FILE>", "file with a bearer token")
    .option("--ca-file <FILE>", "file with the certificates to trust")
    .option("--json", "print JSON");
}

/** An empty variable is an unset one. */
async function targetOf({ url, tokenFile, caFile }: TargetFlags): Promise<Target> {
  return { url: url || (await findDaemon()), tokenFile, caFile };
}

function collect(value: string, before: readonly string[] = []): string[] {
  return [...before, value];
}

function limitOf(text: string): number {
  const limit = wholeNumber(text, 1, Number.MAX_SAFE_INTEGER);
  if (limit === undefined) throw new InvalidArgumentError("Expected a whole number from 1.");
  return limit;
}

function shellOf(text: string): Shell {
  const shell = SHELLS.find((known) => known === text);
  if (shell === undefined) throw new InvalidArgumentError(`Known: ${SHELLS.join(", ")}.`);
  return shell;
}
