/** `galvani verify`: every checksum and count of a dataset. */
import type { Command } from 'commander';
import { verifyDataset } from '../dataset/verification.js';
import { openProgress } from '../report/progress.js';
import { formatBytes, formatCount } from '../report/table.js';

export function define(command: Command): void {
  command
    .argument('<folder>', 'a dataset that "galvani prepare" made')
    .option('--json', 'print the counts as one JSON object')
    .addHelpText('after', '\nExample:\n  $ galvani verify tokens')
    .action(run);
}

async function run(folder: string, { json }: { json?: boolean }): Promise<void> {
  const progress = openProgress();
  try {
    const found = await verifyDataset(folder, (file) => progress.show(() => `verify: ${file}`));
    progress.end();
    if (json) console.log(JSON.stringify({ folder, ...found }));
    else {
      const { files, bytes, documents, tokens } = found;
      const counts = `${formatCount(documents)} documents, ${formatCount(tokens)} tokens`;
      console.log(`${folder} is whole: ${files} files, ${formatBytes(bytes)} of shards, ${counts}.`);
    }
  } finally {
    progress.end();
  }
}
