/** `galvani prepare`: text files → token shards. */
import { type Command, InvalidArgumentError, Option } from 'commander';
import { type PrepareProgress, type PrepareResult, prepare } from '../corpus/prepare.js';
import { openProgress } from '../report/progress.js';
import { formatBytes, formatCount, formatSeconds } from '../report/table.js';
import { type Profile, profileNames } from '../text/profile.js';
import { defaultThreads, parseCount } from './options.js';

/** Rows are numbered by 32-bit token offsets within a shard. */
const maxShardTokens = 2 ** 31;

interface Flags {
  input: string[];
  vocab: string;
  output: string;
  profile?: Profile;
  cased?: boolean;
  documents: 'line' | 'blank-line' | 'file';
  threads: number;
  shardTokens: number;
  json?: boolean;
}

export function define(command: Command): void {
  command
    .requiredOption('--input <path...>', 'text files, and folders whose .txt files are read in order of their names')
    .requiredOption('--vocab <path>', 'vocab.txt, tokenizer.json, or the folder of a model')
    .requiredOption('--output <folder>', 'the dataset; must be new or empty')
    .addOption(
      new Option('--documents <rule>', 'where one document ends and the next begins (a file always begins one)')
        .choices(['line', 'blank-line', 'file'])
        .default('blank-line'),
    )
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
    .option('--json', 'print the counts as one JSON object')
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

async function run(flags: Flags): Promise<void> {
  const progress = openProgress();
  const start = performance.now();
  const seconds = () => (performance.now() - start) / 1000;
  const stop = new AbortController();
  const onSignal = () => stop.abort();
  // Once: a second signal ends the process at once.
  for (const name of ['SIGINT', 'SIGTERM'] as const) process.once(name, onSignal);
  try {
    const result = await prepare({
      inputs: flags.input,
      vocabulary: flags.vocab,
      output: flags.output,
      profile: flags.profile,
      lowercase: flags.cased ? false : undefined,
      documents: flags.documents,
      threads: flags.threads,
      shardTokens: flags.shardTokens,
      signal: stop.signal,
      onProgress: (state) => progress.show(() => describeProgress(state, seconds())),
    });
    progress.end();
    print(result, flags, seconds());
  } finally {
    progress.end();
    for (const name of ['SIGINT', 'SIGTERM'] as const) process.removeListener(name, onSignal);
  }
}

function describeProgress({ bytesDone, bytesTotal, tokens }: PrepareProgress, seconds: number): string {
  const left = ((bytesTotal - bytesDone) / bytesDone) * seconds;
  const speed = `${formatBytes(bytesDone / seconds)}/s, ${formatCount(Math.round(tokens / seconds))} tokens/s`;
  return `prepare: ${formatBytes(bytesDone)} of ${formatBytes(bytesTotal)}, ${speed}, ${formatSeconds(left)} left`;
}

function print({ manifest, wasThere }: PrepareResult, flags: Flags, seconds: number): void {
  const { counts, inputs, shards } = manifest;
  const bytes = inputs.reduce((sum, input) => sum + input.bytes, 0);
  if (flags.json) {
    console.log(JSON.stringify({ output: flags.output, wasThere, ...counts, shards: shards.length, bytes, seconds }));
    return;
  }
  if (wasThere) {
    console.log(`${flags.output} is finished already: same inputs by name and size, same vocabulary and settings.`);
    return;
  }
  const plural = (count: number, word: string) => `${formatCount(count)} ${word}${count === 1 ? '' : 's'}`;
  console.log(
    `${formatBytes(bytes)} in ${plural(inputs.length, 'file')} → ${plural(counts.documents, 'document')}, ` +
      `${plural(counts.lines, 'line')}, ${plural(counts.tokens, 'token')} in ${plural(shards.length, 'shard')}`,
  );
  const unknown = ((100 * counts.unknownTokens) / counts.tokens).toFixed(2);
  console.log(`unknown tokens: ${formatCount(counts.unknownTokens)} (${unknown} %)`);
  if (counts.droppedBytes > 0) console.log(`left out, no UTF-8: ${plural(counts.droppedBytes, 'byte')}`);
  console.log(`${formatSeconds(seconds)}, ${formatBytes(bytes / seconds)}/s → ${flags.output}`);
}
