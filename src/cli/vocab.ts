/** `galvani vocab`: text files → a WordPiece vocabulary of exactly the size asked for. */
import path from 'node:path';
import { type Command, Option } from 'commander';
import { listInputs } from '../corpus/inputs.js';
import { type CountingProgress, trainVocabulary, type VocabularyReport } from '../corpus/vocabulary.js';
import { GalvaniError } from '../errors.js';
import { makePlaceFor, writeFileDurably } from '../files.js';
import { openProgress } from '../report/progress.js';
import { formatBytes, formatCount, formatTable } from '../report/table.js';
import { type Algorithm, algorithms } from '../text/learner.js';
import { type Profile, profileNames } from '../text/profile.js';
import { defaultThreads, inputHelp, parseCount, parseFieldName, textFieldHelp } from './options.js';

interface Flags {
  input: string[];
  textField?: string;
  size: number;
  output: string;
  algorithm: Algorithm;
  unused: number;
  profile: Profile;
  cased?: boolean;
  threads: number;
  json?: boolean;
}

export function define(command: Command): void {
  command
    .requiredOption('--input <path...>', inputHelp)
    .option('--text-field <name>', textFieldHelp, parseFieldName)
    .requiredOption('--size <count>', 'pieces, special tokens and alphabet included', parseCount)
    .requiredOption('--output <file>', 'where the vocabulary goes, one piece a line')
    .addOption(
      new Option(
        '--algorithm <name>',
        'how pieces are chosen: as BERT did, or as the trainer of Hugging Face tokenizers',
      )
        .choices(algorithms)
        .default('top-down'),
    )
    .option('--unused <count>', 'entries [unused1], … for tokens of your own; 99 for the ids of BERT', parseUnused, 0)
    .addOption(new Option('--profile <name>', 'whose words to count').choices(profileNames).default('huggingface'))
    .option('--cased', 'keep case and accents')
    .option('--threads <count>', 'counting threads; the file is the same for any number', parseCount, defaultThreads())
    .option('--json', 'print the report as one JSON object')
    .addHelpText(
      'after',
      `
The same words give the same file, whatever the order of files and lines. The alphabet is the commonest characters that make
up 99.99% of the text; a word with any other is [UNK]. top-down takes the largest threshold that gives at least --size pieces
and drops the rarest of them; merge joins the commonest pair until there are --size. Ties go by bytes.

Example:
  $ printf 'low lower lowest\\nnew newer newest\\nwide wider widest\\n' > words.txt
  $ galvani vocab --input words.txt --size 30 --output vocab.txt`,
    )
    .action(run);
}

const parseUnused = (text: string) => (text === '0' ? 0 : parseCount(text));

async function run({ input, output, cased, json, ...settings }: Flags): Promise<void> {
  await makePlaceFor(output);
  const files = listInputs(input, [output]);
  if (files.some((file) => path.resolve(file.path) === path.resolve(output))) throw overInput(output);
  const progress = openProgress();
  const onProgress = (state: CountingProgress) => progress.show(() => describeProgress(state));
  const { vocabulary, report } = await trainVocabulary(files, { ...settings, lowercase: !cased, onProgress }).finally(
    () => progress.end(),
  );
  await writeFileDurably(output, vocabulary.pieces.map((piece) => `${piece}\n`).join(''));
  if (json) console.log(JSON.stringify({ output, sha256: vocabulary.sha256, ...report }));
  else process.stdout.write(`${output}\n${formatReport(report)}`);
}

function describeProgress({ bytesDone, bytesTotal, distinctWords }: CountingProgress): string {
  return `vocab: ${formatBytes(bytesDone)} of ${formatBytes(bytesTotal)} counted, ${formatCount(distinctWords)} distinct words`;
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
    ['least count of a piece', formatCount(report.leastCount)],
    ['words', formatCount(report.words)],
    ['distinct words', formatCount(report.distinctWords)],
    ['unknown tokens', `${(100 * report.unknownFraction).toFixed(3)}%`],
    ['pieces a word', report.piecesPerWord.toFixed(3)],
    ['characters a token', report.charactersPerToken.toFixed(3)],
    ['bytes dropped (not UTF-8)', formatCount(report.droppedBytes)],
  ]);
}
