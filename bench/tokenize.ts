/**
 * Ours beside npm tokenizers, in one process, on one thread each, in turns; first the ids are proved equal.
 *
 *   node dist/bench/tokenize.js [TEXT [VOCAB]]     default: the Brown corpus, and a vocabulary of 8,192 pieces learned from it
 *
 * The text goes line by line in both: in batches of lines to tokenizers' encodeBatch (its faster way), as one block with line
 * ends to ours. Prints the median and the spread of each in MB/s (10⁶ bytes) and the quotient.
 */
import { mkdtempSync, readFileSync, rmSync } from 'node:fs';
import { createRequire } from 'node:module';
import os from 'node:os';
import path from 'node:path';
import { writeBrownText } from '../examples/brown-text.js';
import { median } from '../src/median.js';
import { compileTextModule, WordPieceEncoder } from '../src/text/encoder.js';
import { resolveSettings } from '../src/text/profile.js';
import { compileTables } from '../src/text/tables.js';
import { trainVocabulary } from '../src/text/training.js';
import { specialNames, Vocabulary } from '../src/text/vocabulary.js';

const rounds = 5;
const batchLines = 256;
const passesOfOurs = 10; // a pass of ours is short; a round times this many

// Read when the library starts its thread pool.
process.env.TOKENIZERS_PARALLELISM = 'false';
process.env.RAYON_NUM_THREADS = '1';
const huggingface = createRequire(import.meta.url)('tokenizers') as typeof import('tokenizers');

const { text, vocabulary } = readArguments();
const lines = text.toString('utf8').split('\n');
if (lines.at(-1) === '') lines.pop();
const batches = Array.from({ length: Math.ceil(lines.length / batchLines) }, (_, i) =>
  lines.slice(i * batchLines, (i + 1) * batchLines),
);
const theirs = makeTheirs(vocabulary);
const settings = resolveSettings();
const ours = new WordPieceEncoder(compileTextModule(), compileTables(vocabulary, settings));

await proveEqual();
const theirSpeeds: number[] = [];
const ourSpeeds: number[] = [];
for (let round = 0; round < rounds; round++) {
  theirSpeeds.push(
    await speedOf(1, async () => {
      for (const batch of batches) await theirs.encodeBatch(batch, { addSpecialTokens: false });
    }),
  );
  ourSpeeds.push(
    await speedOf(passesOfOurs, () => {
      ours.encodeLines(text);
    }),
  );
}
const cpu = os.cpus()[0]?.model ?? 'unknown processor';
console.log(
  `${text.length} bytes, ${vocabulary.size} pieces; ${cpu}, Node ${process.versions.node}; one thread; ids equal`,
);
console.log(`tokenizers 0.23.2  ${describe(theirSpeeds)}`);
console.log(`galvani            ${describe(ourSpeeds)}`);
console.log(`quotient           ${(median(ourSpeeds) / median(theirSpeeds)).toFixed(1)}`);

function readArguments(): { text: Buffer; vocabulary: Vocabulary } {
  const [textPath, vocabPath] = process.argv.slice(2);
  const folder = mkdtempSync(path.join(os.tmpdir(), 'galvani-bench-'));
  try {
    const files = textPath ? [textPath] : writeBrownText(folder).map((id) => path.join(folder, `${id}.txt`));
    const text = Buffer.concat(files.map((file) => readFileSync(file)));
    return { text, vocabulary: vocabPath ? Vocabulary.read(vocabPath) : trainVocabulary(files, 8192).vocabulary };
  } finally {
    rmSync(folder, { recursive: true });
  }
}

function makeTheirs({ pieces }: Vocabulary) {
  const ids = Object.fromEntries(pieces.map((piece, id) => [piece, id]));
  const tokenizer = new huggingface.Tokenizer(
    huggingface.WordPiece.init(ids, { unkToken: '[UNK]', maxInputCharsPerWord: 100 }),
  );
  tokenizer.setNormalizer(huggingface.bertNormalizer({ lowercase: true, stripAccents: true }));
  tokenizer.setPreTokenizer(huggingface.bertPreTokenizer());
  tokenizer.addSpecialTokens([...specialNames]);
  return tokenizer;
}

async function proveEqual(): Promise<void> {
  const { ids, lineEnds } = ours.encodeLines(text);
  let line = 0;
  for (const batch of batches) {
    for (const encoding of await theirs.encodeBatch(batch, { addSpecialTokens: false })) {
      const mine = ids.subarray(line === 0 ? 0 : lineEnds[line - 1], lineEnds[line]);
      if (mine.join() !== encoding.getIds().join()) throw new Error(`ids differ in line ${line + 1}: ${lines[line]}`);
      line++;
    }
  }
}

async function speedOf(passes: number, work: () => void | Promise<void>): Promise<number> {
  const start = performance.now();
  for (let pass = 0; pass < passes; pass++) await work();
  return (passes * text.length) / 1e3 / (performance.now() - start);
}

function describe(speeds: number[]): string {
  const spread = `${Math.min(...speeds).toFixed(1)}–${Math.max(...speeds).toFixed(1)}`;
  return `${median(speeds).toFixed(1).padStart(7)} MB/s (${spread})`;
}
