/** `galvani merge`: the parts of a corpus, or several datasets → one. */

import type { Command } from 'commander';
import { type MergeResult, merge } from '../dataset/merge.js';
import type { MergeProgress } from '../dataset/sources.js';
import { openProgress } from '../report/progress.js';
import { formatCount, formatSeconds } from '../report/table.js';
import { untilStopped } from './untilStopped.js';

interface Flags {
  output: string;
  deduplicate?: boolean;
  json?: boolean;
}

export function define(command: Command): void {
  command
    .argument(
      '<folders...>',
      'the parts of a corpus ("galvani prepare --part") in any order, or whole datasets in that order',
    )
    .requiredOption('--output <folder>', 'the dataset; must be new or empty')
    .option('--deduplicate', 'write new shards, without documents whose ids equal those of an earlier one')
    .option('--json', 'print the counts as one JSON object')
    .addHelpText('after', '\nExample:\n  $ galvani merge part-1 part-2 --output tokens')
    .action(run);
}

async function run(folders: string[], flags: Flags): Promise<void> {
  const progress = openProgress();
  const start = performance.now();
  try {
    const result = await untilStopped((signal) =>
      merge({
        inputs: folders,
        output: flags.output,
        deduplicate: flags.deduplicate,
        signal,
        onProgress: (state) => progress.show(() => describeProgress(state)),
      }),
    );
    progress.end();
    print(result, folders, flags, (performance.now() - start) / 1000);
  } finally {
    progress.end();
  }
}

function describeProgress({ doing, done, total, unit }: MergeProgress): string {
  return `merge: ${doing}, ${formatCount(done)} of ${formatCount(total)} ${unit}`;
}

function print({ manifest, linked, copied }: MergeResult, folders: string[], flags: Flags, seconds: number): void {
  const { counts, leftOut, shards } = manifest;
  const { output, deduplicate } = flags;
  if (flags.json) {
    const { duplicates } = leftOut;
    console.log(JSON.stringify({ output, ...counts, duplicates, shards: shards.length, linked, copied, seconds }));
    return;
  }
  const plural = (count: number, word: string) => `${formatCount(count)} ${word}${count === 1 ? '' : 's'}`;
  const made = [plural(counts.documents, 'document'), plural(counts.tokens, 'token')].join(', ');
  console.log(`${plural(folders.length, 'folder')} → ${made} in ${plural(shards.length, 'shard')}`);
  if (deduplicate) {
    const share = ((100 * leftOut.duplicates) / (counts.documents + leftOut.duplicates)).toFixed(2);
    console.log(`left out, equal to an earlier one: ${plural(leftOut.duplicates, 'document')} (${share} %)`);
  } else {
    const copies = copied === 0 ? '' : `, ${plural(copied, 'file')} copied`;
    console.log(`nothing rewritten: ${plural(linked, 'file')} linked${copies}; the sizes were checked`);
  }
  console.log(`${formatSeconds(seconds)} → ${output} ("galvani verify" checks every byte)`);
}
