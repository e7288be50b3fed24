/** `galvani export`: a run's models as Hugging Face folders. */
import type { Command } from 'commander';
import { formatCount } from '../report/table.js';
import { exportRun } from '../training/export.js';

interface Options {
  output: string;
  json?: boolean;
}

export function define(command: Command): void {
  command
    .argument('<run>', 'a run folder that "galvani pretrain" made')
    .requiredOption('--output <dir>', 'where discriminator/ and generator/ are written; an earlier export is replaced')
    .option('--json', 'print directory, step and parameters as one JSON object')
    .addHelpText('after', '\nExample:\n  $ galvani export runs/brown-tiny --output runs/brown-tiny/model')
    .action(run);
}

async function run(folder: string, { output, json }: Options): Promise<void> {
  const exported = await exportRun(folder, output, (message) => console.error(message));
  const { directory, step, parameters } = exported;
  if (json) console.log(JSON.stringify(exported));
  else
    console.log(
      `${directory} holds both models after ${formatCount(step)} steps (${formatCount(parameters)} weights).`,
    );
}
