/** `galvani setup`: installs what an engine needs that is not in the npm package. */
import { Argument, type Command } from 'commander';
import { setUp } from '../engines/tensorflow/setup.js';

export function define(command: Command): void {
  command
    .addArgument(new Argument('<engine>', 'the engine to set up').choices(['tensorflow']))
    .option('--gpu', 'the library for CUDA, and the CUDA libraries (6 GB instead of 1.4)')
    .addHelpText(
      'after',
      `
It downloads TensorFlow and the source of its binding, compiles that, and keeps all of it in a folder of its own;
what is there already is left as it is. "galvani doctor --engine tensorflow" prints the commands without running them.

Example:
  $ galvani setup tensorflow`,
    )
    .action((_engine, { gpu }) => setUp(gpu ? 'gpu' : 'cpu', (line) => console.log(line)));
}
