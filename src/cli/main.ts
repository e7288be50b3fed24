#!/usr/bin/env node
/**
 * The `galvani` command: finds the subcommand, loads its file and nothing else, and turns errors into exit codes.
 * A subcommand is one file in this folder that exports `define(command)`: options, an example that runs, an action.
 */
import { readFileSync } from 'node:fs';
import { Command, CommanderError } from 'commander';
import { checkRuntime } from '../engines/wasm/build.js';
import { exitCodes, GalvaniError, nearestName } from '../errors.js';
import { closedOutput } from './closedOutput.js';

export interface CommandModule {
  define(command: Command): void;
}

/** Every subcommand, by the name of its file. */
const summaries: Record<string, string> = {
  pretrain: 'trains a generator and a discriminator on token shards, or goes on with it',
  vocab: 'learns a WordPiece vocabulary from text files',
  tokenize: 'turns lines of text into ids or pieces',
  prepare: 'turns text files into token shards',
  merge: 'makes one dataset of several, or of the parts of a corpus',
  verify: 'checks every checksum and count of a dataset',
  doctor: 'says which engines can run on this machine, and what is missing',
  setup: 'installs what an engine needs',
  bench: 'measures the throughput of a room on this machine',
  inspect: 'shows what is in a folder, as a table',
  export: 'writes the models of a run as folders that transformers opens',
  detect: 'marks the tokens of a text that were likely replaced',
  fill: 'fills [MASK] in a text',
};

/** Names a misspelt flag before it misses the one that was meant, as Commander would if that is a required one. */
class StrictCommand extends Command {
  override createCommand(name?: string): Command {
    return new StrictCommand(name);
  }

  override parseOptions(argv: string[]): ReturnType<Command['parseOptions']> {
    const parsed = super.parseOptions(argv);
    const isLeaf = this.commands.length === 0;
    const [flag] = parsed.unknown;
    if (isLeaf && flag !== undefined && !parsed.unknown.some((arg) => arg === '-h' || arg === '--help')) {
      const [name] = flag.split('=');
      const nearest = nearestName(
        name,
        this.options.flatMap(({ long }) => long ?? []),
      );
      const hint = nearest === undefined ? '' : `\n(Did you mean ${nearest}?)`;
      this.error(`error: unknown option '${name}'${hint}`, { code: 'commander.unknownOption' });
    }
    return parsed;
  }
}

async function main(argv: string[]): Promise<void> {
  // `galvani help prepare` is `galvani prepare --help`: only there the command's file is loaded.
  if (argv[0] === 'help' && argv.length > 1) argv = [...argv.slice(1), '--help'];
  const { version } = JSON.parse(readFileSync(new URL('../../../package.json', import.meta.url), 'utf8'));
  const program = new StrictCommand('galvani')
    .description('Pre-trains ELECTRA from raw text to a finished model, on one machine.')
    .version(version)
    .exitOverride()
    .configureOutput({ outputError: (text, write) => write(text.replace(/^error: /, 'galvani: ')) });
  for (const [name, summary] of Object.entries(summaries)) {
    const command = program.command(name).description(summary).exitOverride();
    if (argv[0] === name) ((await import(`./${name}.js`)) as CommandModule).define(command);
  }
  // What a machine lacks is what `doctor` is asked for.
  program.hook('preAction', (_, command) => {
    if (command.name() !== 'doctor') checkRuntime();
  });
  await program.parseAsync(argv, { from: 'user' });
}

function fail(error: unknown): void {
  if (error instanceof CommanderError) {
    process.exitCode = error.exitCode === 0 ? exitCodes.done : exitCodes.wrongUse;
    return;
  }
  if (error instanceof GalvaniError) {
    process.stderr.write(`${error.message}\n`);
    process.exitCode = error.exitCode;
    return;
  }
  process.stderr.write(`internal: ${error instanceof Error ? (error.stack ?? error.message) : String(error)}\n`);
  process.exitCode = exitCodes.failure;
}

process.stdout.on('error', (error: NodeJS.ErrnoException) => {
  // A reader that stops early is no error.
  if (error.code === 'EPIPE') return closedOutput();
  fail(
    new GalvaniError({
      stage: 'output',
      expected: 'standard output that takes what is printed',
      got: error.code ?? error.message,
      remedy: 'Free some space, or send the output elsewhere, and run the same command again.',
      cause: error,
    }),
  );
  process.exit();
});
// Nobody reads the messages: the exit code still tells how it went.
process.stderr.on('error', () => {});

await main(process.argv.slice(2)).catch(fail);
