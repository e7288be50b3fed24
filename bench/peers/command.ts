/** How a bench is run from the command line: errors of ours are told in their words, with their exit codes. */
import type { Command } from 'commander';
import { GalvaniError } from '../../src/errors.js';

export async function runCommand(command: Command): Promise<void> {
  try {
    await command.parseAsync();
  } catch (error) {
    if (!(error instanceof GalvaniError)) throw error;
    console.error(error.message);
    process.exitCode = error.exitCode;
  }
}
