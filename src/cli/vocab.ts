/** `galvani vocab`: text files → a WordPiece vocabulary of exactly the size asked for. */
import path from 'node:path';
import type { Command } from 'commander';
import { listInputs } from '../corpus/inputs.js';
import { GalvaniError } from '../errors.js';
import { makePlaceFor, writeFileDurably } from '../files.js';
import { formatCount, formatTable } from '../report/table.js';
import { trainVocabulary, type VocabularyReport } from '../text/training.js';
import { parseCount } from './options.js';

interface Flags {
  input: string[];
  size: number;
  output: string;
  cased?: boolean;
  json?: boolean;
}

export function define(command: Command): void {
  command
    .requiredOption('--input <path...>', 'text files, and folders whose .txt files are read')
    .requiredOption('--size <count>', 'pieces, special tokens and alphabet included', parseCount)
    .requiredOption('--output <file>', 'where the vocabulary goes, one piece a line')
    .option('--cased', 'keep case and accents')
    .option('--json', 'print the report as one JSON object')
    .addHelpText(
      'after',
      `
The same words give the same file, whatever the order of files and lines. Pieces are chosen top-down, by how often they
occur; of the pieces at the threshold that gives at least --size, the rarest are dropped (ties: the last by bytes).

Example:
  $ printf 'low lower lowest\\nnew newer newest\\nwide wider widest\\n' > words.txt
  $ galvani vocab --input words.txt --size 30 --output vocab.txt`,
    )
    .action(run);
}

async function run({ input, size, output, cased, json }: Flags): Promise<void> {
  await makePlaceFor(output);
  const files = listInputs(input, [output]);
  if (files.some((file) => path.resolve(file.path) === path.resolve(output))) throw overInput(output);
  const { vocabulary, report } = trainVocabulary(
    files.map((file) => file.path),
    size,
    { lowercase: !cased },
  );
  await writeFileDurably(output, vocabulary.pieces.map((piece) => `${piece}\n`).join(''));
  if (json) console.log(JSON.stringify({ output, sha256: vocabulary.sha256, ...report }));
  else process.stdout.write(`${output}\n${formatReport(report)}`);
}

function overInput(output: string): GalvaniError {
  return new GalvaniError({
    stage: 'vocab',
    expected: 'an output that is no input',
    got: output,
    where: '--output',
    remedy: 'Choose another --output: the text would be lost.',
    kind: 'wrongUse',
  });
}

function formatReport(report: VocabularyReport): string {
  return formatTable([
    ['pieces', formatCount(report.pieces)],
    ['alphabet, characters', formatCount(report.alphabet)],
    ['least count of a piece', formatCount(report.threshold)],
    ['words', formatCount(report.words)],
    ['distinct words', formatCount(report.distinctWords)],
    ['unknown tokens', `${(100 * report.unknownFraction).toFixed(3)}%`],
    ['pieces a word', report.piecesPerWord.toFixed(3)],
    ['characters a token', report.charactersPerToken.toFixed(3)],
    ['bytes dropped (not UTF-8)', formatCount(report.droppedBytes)],
  ]);
}
