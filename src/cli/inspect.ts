/** `galvani inspect`: what is in a folder, told by the files that are in it. */
import { existsSync } from 'node:fs';
import path from 'node:path';
import type { Command } from 'commander';
import { openDataset } from '../dataset/dataset.js';
import { manifestFile } from '../dataset/manifest.js';
import { type DatasetSummary, summarizeDataset } from '../dataset/summary.js';
import { GalvaniError } from '../errors.js';
import { formatBytes, formatCount, formatTable } from '../report/table.js';

/** One kind of folder: the file that tells it, and how to show it. */
interface Kind {
  name: string;
  file: string;
  inspect(folder: string): Promise<{ value: unknown; text: string }>;
}

const kinds: Kind[] = [{ name: 'dataset', file: manifestFile, inspect: inspectDataset }];

export function define(command: Command): void {
  command
    .argument('<path>', kinds.map((kind) => `a ${kind.name}`).join(', '))
    .option('--json', 'print it as one JSON object')
    .addHelpText('after', '\nExample:\n  $ galvani inspect tokens')
    .action(run);
}

async function run(folder: string, { json }: { json?: boolean }): Promise<void> {
  const kind = kinds.find(({ file }) => existsSync(path.join(folder, file)));
  if (kind === undefined) {
    throw new GalvaniError({
      stage: 'inspect',
      expected: kinds.map(({ name, file }) => `a ${name} (with ${file})`).join(', '),
      got: existsSync(folder) ? 'none of these' : 'nothing there',
      where: folder,
      remedy: 'Give the folder itself, not the one around it.',
      kind: 'badInput',
    });
  }
  const { value, text } = await kind.inspect(folder);
  process.stdout.write(json ? `${JSON.stringify({ kind: kind.name, ...(value as object) })}\n` : text);
}

async function inspectDataset(folder: string): Promise<{ value: DatasetSummary; text: string }> {
  const value = summarizeDataset(await openDataset(folder));
  const { counts, inputs, tokenizer, tokensPerDocument: length, vocabulary, settings, shards } = value;
  const casing = tokenizer.lowercase ? 'uncased' : 'cased';
  const facts = [
    ['inputs', `${formatCount(inputs.files)} (${formatBytes(inputs.bytes)}), documents by ${settings.documents}`],
    ['vocabulary', `${formatCount(vocabulary.size)} pieces, SHA-256 ${vocabulary.sha256.slice(0, 12)}…`],
    ['tokenizer', `${tokenizer.profile}, ${casing}, Unicode ${tokenizer.unicodeVersion}`],
    ['documents', formatCount(counts.documents)],
    ['tokens', formatCount(counts.tokens)],
    ['tokens a document', `${length.least} to ${length.most}, median ${length.median}, mean ${length.mean.toFixed(1)}`],
    ['lines', `${formatCount(counts.lines)}, ${value.tokensPerLine.toFixed(1)} tokens each`],
    ['unknown tokens', `${formatCount(counts.unknownTokens)} (${(100 * value.unknownFraction).toFixed(2)} %)`],
    ['dropped bytes', formatCount(counts.droppedBytes)],
  ];
  const header = ['shard', 'documents', 'tokens', 'bytes'];
  const rows = shards.map((s) => [s.file, formatCount(s.rows), formatCount(s.tokens), formatCount(s.bytes)]);
  return { value, text: `${formatTable(facts)}\n${formatTable([header, ...rows])}` };
}
