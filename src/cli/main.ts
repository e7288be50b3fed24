#!/usr/bin/env node
/**
 * The `galvani` command: finds the subcommand, loads its file and nothing else, and turns errors into exit codes.
 * A subcommand is one file in this folder that exports `define(command)`: options, an example that runs, an action.
 */
import { readFileSync } from 'node:fs';
import { Command, CommanderError } from 'commander';
import { exitCodes, GalvaniError } from '../errors.js';

export interface CommandModule {
  define(command: Command): void;
}

/** Every subcommand, by the name of its file. */
const summaries: Record<string, string> = {
  pretrain: 'trains a generator and a discriminator on token shards, or goes on with it',
  vocab: 'learns a WordPiece vocabulary from text files',
  tokenize: 'turns lines of text into ids or pieces',
  prepare: 'turns text files into token shards',
  verify: 'checks every checksum and count of a dataset',
  bench: 'measures the throughput of a room on this machine',
  inspect: 'shows what is in a folder, as a table',
  export: 'writes the models of a run as folders that transformers opens',
  detect: 'marks the tokens of a text that were likely replaced',
  fill: 'fills [MASK] in a text',
};

async function main(argv: string[]): Promise<void> {
  const { version } = JSON.parse(readFileSync(new URL('../../../package.json', import.meta.url), 'utf8'));
  const program = new Command('galvani')
    .description('Pre-trains ELECTRA from raw text to a finished model, on one machine.')
    .version(version)
    .exitOverride()
    .configureOutput({ outputError: (text, write) => write(text.replace(/^error: /, 'galvani: ')) });
  for (const [name, summary] of Object.entries(summaries)) {
    const command = program.command(name).description(summary).exitOverride();
    if (argv[0] === name) ((await import(`./${name}.js`)) as CommandModule).define(command);
  }
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

// A reader that stops early (`galvani … | head`) is no error.
process.stdout.on('error', (error: NodeJS.ErrnoException) => {
  if (error.code === 'EPIPE') process.exit(exitCodes.done);
  throw error;
});

await main(process.argv.slice(2)).catch(fail);
