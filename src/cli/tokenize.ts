/** `galvani tokenize`: lines of text → ids or pieces, a line each. */
import { createReadStream } from 'node:fs';
import { type Command, Option } from 'commander';
import { GalvaniError } from '../errors.js';
import { tokenizeLines } from '../text/line-stream.js';
import { type Profile, profileNames } from '../text/profile.js';
import { Tokenizer } from '../text/tokenizer.js';

interface Flags {
  vocab: string;
  profile?: Profile;
  cased?: boolean;
  tokens?: boolean;
  jsonl?: boolean;
}

export function define(command: Command): void {
  command
    .argument('[files...]', 'text files; standard input when there are none')
    .requiredOption('--vocab <path>', 'vocab.txt, tokenizer.json, or the folder of a model')
    .addOption(
      new Option('--profile <name>', 'whose tokenization to equal (default: huggingface)').choices(profileNames),
    )
    .option('--cased', 'keep case and accents (default: as tokenizer.json says)')
    .option('--tokens', 'print pieces instead of ids')
    .option('--jsonl', 'read one JSON string a line, print one JSON array a line')
    .addHelpText(
      'after',
      `
Example:
  $ printf '%s\\n' '[PAD]' '[UNK]' '[CLS]' '[SEP]' '[MASK]' the bell r '##ang' . > vocab.txt
  $ echo 'The bell rang.' | galvani tokenize --vocab vocab.txt --tokens
  the bell r ##ang .`,
    )
    .action(run);
}

async function run(files: string[], { vocab, profile, cased, tokens, jsonl }: Flags): Promise<void> {
  const tokenizer = await Tokenizer.open(vocab, { profile, lowercase: cased ? false : undefined });
  if (files.length === 0) await print(process.stdin, 'standard input');
  for (const file of files) await print(createReadStream(file, { highWaterMark: 1 << 18 }), file);

  async function print(input: AsyncIterable<Uint8Array>, where: string): Promise<void> {
    try {
      for await (const lines of tokenizeLines(input, tokenizer, { tokens, jsonl }, where)) {
        // Errors of standard output are main's: nothing else listens to them here.
        if (!process.stdout.write(lines)) await new Promise((resolve) => process.stdout.once('drain', resolve));
      }
    } catch (cause) {
      if (cause instanceof Error && 'syscall' in cause) throw unreadable(where, cause);
      throw cause;
    }
  }
}

function unreadable(where: string, cause: Error): GalvaniError {
  return new GalvaniError({
    stage: 'tokenize',
    expected: 'a readable text file',
    got: cause.message,
    where,
    remedy: 'Check the path and its permissions.',
    kind: 'badInput',
    cause,
  });
}
