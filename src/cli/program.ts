import { Command } from "commander";
import { UsageError } from "../config/usage-error.ts";
import { addClientCommands, type ClientActions } from "./client-commands.ts";
import { addSettingFlags, type Flags, readFlags, strayArguments } from "./flags.ts";

export interface Actions extends ClientActions {
  run(flags: Flags): Promise<void>;
  check(options: { readonly json: boolean }): Promise<void>;
}

const EXAMPLES = `
Examples:
  tuplewatch check                             what this kernel permits, and why not more
  tuplewatch run                               serve on 127.0.0.1:5961
  tuplewatch run --listen '[::]:5961' --web-config /etc/tuplewatch/web.yaml
  tuplewatch run --listen unix:/run/tuplewatch/tuplewatch.sock --listen 127.0.0.1:5961=metrics
  tuplewatch run --config /etc/tuplewatch.yaml
  tuplewatch tail --type finding               follow what is diagnosed
  tuplewatch findings                          what is wrong now, and what to do
  curl -N localhost:5961/events                follow all events, one JSON object per line
  curl -N 'localhost:5961/events?type=connect&result=EADDRNOTAVAIL'
`;

const SETTINGS_HELP = `
Each setting is also a variable (--journal-bytes: TUPLEWATCH_JOURNAL_BYTES) and a key of the
file (journal_bytes). A flag wins over a variable, a variable over the file.

Signals: SIGTERM, SIGINT and SIGQUIT end the streams and stop; a second one stops at once. SIGHUP reads the
settings again and says which of those that changed need a restart; from a terminal it stops, too.
Exit status: 0 stopped by a signal, 1 failure, 2 wrong usage or settings.
`;

export function createProgram(version: string, actions: Actions): Command {
  const program = new Command("tuplewatch")
    .description("Explains connections that failed because of a tuple collision or a missing port.")
    .version(version, "--version")
    .addHelpText("after", EXAMPLES)
    .exitOverride();
  addSettingFlags(program.command("run"))
    .description("watch the kernel and serve what it says over HTTP")
    .addHelpText("after", SETTINGS_HELP)
    .action((_options, command: Command) => actions.run(readFlags(command)));
  program
    .command("check")
    .description("tell which probes can work on this machine, and how")
    .option("--json", "print JSON")
    .allowUnknownOption()
    .allowExcessArguments()
    .action((options: { json?: true }, command: Command) => {
      const problems = strayArguments(command.args, ["--json", "--help"]);
      if (problems.length > 0) {
        throw new UsageError(problems);
      }
      return actions.check({ json: options.json === true });
    });
  addClientCommands(program, actions);
  return program;
}
