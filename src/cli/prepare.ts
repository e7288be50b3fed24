/** `galvani prepare`: a corpus → token shards. */

import { type Command, InvalidArgumentError, Option } from 'commander';
import { type PrepareProgress, type PrepareResult, prepare } from '../corpus/prepare.js';
import { openProgress } from '../report/progress.js';
import { formatBytes, formatCount, formatSeconds } from '../report/table.js';
import { type Profile, profileNames } from '../text/profile.js';
import { defaultThreads, inputHelp, parseCount, parseFieldName, parseFraction, textFieldHelp } from './options.js';
import { untilStopped } from './untilStopped.js';

/** Rows are numbered by 32-bit token offsets within a shard. */
const maxShardTokens = 2 ** 31;

interface Flags {
  input: string[];
  vocab: string;
  output: string;
  profile?: Profile;
  cased?: boolean;
  documents: 'line' | 'blank-line' | 'file';
  textField?: string;
  threads: number;
  shardTokens: number;
  maxDocumentBytes?: number;
  minTokens?: number;
  maxUnknownFraction?: number;
  onError: 'stop' | 'skip';
  part?: { index: number; count: number };
  json?: boolean;
}

export function define(command: Command): void {
  command
    .requiredOption('--input <path...>', `${inputHelp}, in order of their names; - for standard input`)
    .requiredOption('--vocab <path>', 'vocab.txt, tokenizer.json, or the folder of a model')
    .requiredOption('--output <folder>', 'the dataset; must be new or empty')
    .addOption(
      new Option(
        '--documents <rule>',
        'where a document of plain text ends (a file always begins one; a record is one)',
      )
        .choices(['line', 'blank-line', 'file'])
        .default('blank-line'),
    )
    .option('--text-field <name>', `${textFieldHelp}; with "--input -": JSON Lines`, parseFieldName)
    .addOption(
      new Option('--profile <name>', 'whose tokenization to equal (default: huggingface)').choices(profileNames),
    )
    .option('--cased', 'keep case and accents (default: as tokenizer.json says)')
    .option(
      '--threads <count>',
      'tokenizing threads; the output is the same for any number',
      parseCount,
      defaultThreads(),
    )
    .option('--shard-tokens <count>', 'tokens after which a shard ends with its document', parseShardTokens, 1 << 26)
    .option('--max-document-bytes <count>', 'leave out documents with more bytes of text', parseCount)
    .option('--min-tokens <count>', 'leave out documents with fewer tokens', parseCount)
    .option('--max-unknown-fraction <share>', 'leave out documents with a larger share of [UNK]', parseFraction)
    .addOption(
      new Option('--on-error <what>', 'at a record or file that cannot be read: stop, or leave it out and list it')
        .choices(['stop', 'skip'])
        .default('stop'),
    )
    .option('--part <i/n>', 'make the i-th (from 1) of n parts; "galvani merge" makes one dataset of them', parsePart)
    .option('--json', 'print the counts as one JSON object, and progress as one a line')
    .addHelpText(
      'after',
      `
Example:
  $ printf 'The first document.\\n\\nThe second one.\\n' > text.txt
  $ printf '%s\\n' '[PAD]' '[UNK]' '[CLS]' '[SEP]' '[MASK]' the first second document one . > vocab.txt
  $ galvani prepare --input text.txt --vocab vocab.txt --output tokens`,
    )
    .action(run);
}

function parseShardTokens(text: string): number {
  const tokens = parseCount(text);
  if (tokens > maxShardTokens) throw new InvalidArgumentError(`Expected at most ${maxShardTokens}.`);
  return tokens;
}

function parsePart(text: string): { index: number; count: number } {
  const match = /^(\d+)\/(\d+)$/.exec(text);
  const [index, count] = match ? match.slice(1).map(Number) : [0, 0];
  if (index < 1 || index > count || !Number.isSafeInteger(count))
    throw new InvalidArgumentError('Expected one like 2/8: a number, and of how many.');
  return { index, count };
}

async function run(flags: Flags): Promise<void> {
  const progress = openProgress();
  const start = performance.now();
  const seconds = () => (performance.now() - start) / 1000;
  const describe = progressDescriber(seconds, flags.json);
  try {
    const result = await untilStopped((signal) =>
      prepare({
        inputs: flags.input,
        vocabulary: flags.vocab,
        output: flags.output,
        profile: flags.profile,
        lowercase: flags.cased ? false : undefined,
        documents: flags.documents,
        textField: flags.textField,
        threads: flags.threads,
        shardTokens: flags.shardTokens,
        maxDocumentBytes: flags.maxDocumentBytes,
        minTokens: flags.minTokens,
        maxUnknownFraction: flags.maxUnknownFraction,
        skipsErrors: flags.onError === 'skip',
        part: flags.part,
        signal,
        onProgress: (state) => progress.show(describe(state)),
      }),
    );
    progress.end();
    print(result, flags, seconds());
  } finally {
    progress.end();
  }
}

/** A line of progress. Speeds are those of this run: what an earlier one had done, its first state, counts for neither side. */
function progressDescriber(seconds: () => number, json = false): (state: PrepareProgress) => () => string {
  let first: PrepareProgress | undefined;
  return (state) => {
    first ??= state;
    const before = first;
    return () => {
      const { bytesDone, bytesTotal, tokens } = state;
      const bytesPerSecond = (bytesDone - before.bytesDone) / seconds();
      const tokensPerSecond = (tokens - before.tokens) / seconds();
      const secondsLeft = bytesTotal && bytesPerSecond > 0 ? (bytesTotal - bytesDone) / bytesPerSecond : undefined;
      if (json) return JSON.stringify({ ...state, bytesPerSecond, tokensPerSecond, secondsLeft });
      const done = `${formatBytes(bytesDone)}${bytesTotal === undefined ? '' : ` of ${formatBytes(bytesTotal)}`}`;
      const speed = `${formatBytes(bytesPerSecond)}/s, ${formatCount(Math.round(tokensPerSecond))} tokens/s`;
      const left = secondsLeft === undefined ? '' : `, ${formatSeconds(secondsLeft)} left`;
      return `prepare: ${done}, ${speed}${left}`;
    };
  };
}

function print({ manifest, wasThere, shardsBefore }: PrepareResult, flags: Flags, seconds: number): void {
  const { counts, inputs, leftOut, part, shards } = manifest;
  const bytes = inputs.reduce((sum, input) => sum + input.bytes, 0);
  if (flags.json) {
    const { output } = flags;
    const facts = { output, wasThere, shardsBefore, part, ...counts, leftOut, shards: shards.length, bytes, seconds };
    console.log(JSON.stringify(facts));
    return;
  }
  if (wasThere) {
    console.log(`${flags.output} is finished already: same inputs by name and size, same vocabulary and settings.`);
    return;
  }
  const plural = (count: number, word: string) => `${formatCount(count)} ${word}${count === 1 ? '' : 's'}`;
  console.log(
    `${formatBytes(bytes)} in ${plural(inputs.length, 'file')} → ` +
      `${part ? `part ${part.index} of ${part.count}: ` : ''}${plural(counts.documents, 'document')}, ` +
      `${plural(counts.lines, 'line')}, ${plural(counts.tokens, 'token')} in ${plural(shards.length, 'shard')}`,
  );
  const unknown = ((100 * counts.unknownTokens) / Math.max(1, counts.tokens)).toFixed(2);
  console.log(`unknown tokens: ${formatCount(counts.unknownTokens)} (${unknown} %)`);
  if (counts.droppedBytes > 0) console.log(`left out, no UTF-8: ${plural(counts.droppedBytes, 'byte')}`);
  for (const [count, why] of [
    [leftOut.maxDocumentBytes, 'longer than --max-document-bytes'],
    [leftOut.minTokens, 'shorter than --min-tokens'],
    [leftOut.maxUnknownFraction, 'above --max-unknown-fraction'],
    [leftOut.errors, 'unreadable (listed in manifest.json)'],
  ] as const) {
    if (count > 0) console.log(`left out, ${why}: ${plural(count, 'document')}`);
  }
  if (shardsBefore > 0) console.log(`${plural(shardsBefore, 'shard')} of them by a run before this one`);
  const speed = part || shardsBefore > 0 ? '' : `, ${formatBytes(bytes / seconds)}/s`;
  console.log(`${formatSeconds(seconds)}${speed} → ${flags.output}`);
}
