/**
 * Examples: a document of n tokens becomes windows of T − 2 tokens in order ([CLS] and [SEP] take the other two
 * places), the last one shorter, so no token is lost; empty documents give none. They are numbered through the shards
 * of one side of the held-out split.
 *
 * The index is two Uint32 a document, in shared memory, built in one pass over the row offsets; it goes to the workers
 * as it is. An example is found in O(log documents), its neighbours in O(1).
 */
import { GalvaniError } from '../errors.js';
import type { Shard, ShardPiece, TokenDataset } from './dataset.js';
import { markHeldOut } from './split.js';

export type Split = 'train' | 'validation';

export interface IndexedShard {
  path: string;
  pieces: ShardPiece[];
  /** (rows + 1) first token of each document, in tokens of the shard. */
  rowOffsets: Uint32Array;
  /** (rows + 1) examples of this split before each document of the shard. */
  exampleOffsets: Uint32Array;
  /** Examples of this split in earlier shards. */
  firstExample: number;
}

export interface ExampleIndex {
  /** Text tokens of a full window: T − 2. */
  windowTokens: number;
  idBytes: 2 | 4;
  shards: IndexedShard[];
  examples: number;
  /** Documents of this split that hold a token, and their tokens. */
  documents: number;
  tokens: number;
}

/** Where one example lies: `tokens` ids from `startToken` on, in tokens of its shard. */
export interface Example {
  shard: number;
  row: number;
  startToken: number;
  tokens: number;
}

/** Consecutive tokens of one shard. */
export interface TokenRun {
  shard: number;
  startToken: number;
  tokens: number;
}

/** Index one side of the split. @throws badInput if it holds no example. */
export function indexExamples(
  dataset: TokenDataset,
  sequenceLength: number,
  split: Split,
  validationFraction: number,
): ExampleIndex {
  const index: ExampleIndex = {
    windowTokens: sequenceLength - 2,
    idBytes: dataset.idBytes,
    shards: [],
    examples: 0,
    documents: 0,
    tokens: 0,
  };
  let firstDocument = 0;
  for (const shard of dataset.shards) {
    const held = markHeldOut(firstDocument, shard.rows, validationFraction);
    addShard(index, shard, held, split === 'validation' ? 1 : 0);
    firstDocument += shard.rows;
  }
  if (index.examples === 0) {
    throw new GalvaniError({
      stage: 'examples',
      expected: `documents with tokens for ${split === 'train' ? 'training' : 'validation'}`,
      got: `none among ${firstDocument} documents at a validation fraction of ${validationFraction}`,
      where: dataset.directory,
      remedy: 'Change the validation fraction, or prepare more text.',
      kind: 'badInput',
    });
  }
  return index;
}

function addShard(index: ExampleIndex, shard: Shard, held: Uint8Array, wanted: 0 | 1): void {
  const rowOffsets = shareWords(shard.rowOffsets);
  const exampleOffsets = new Uint32Array(new SharedArrayBuffer(4 * (shard.rows + 1)));
  let examples = 0;
  for (let row = 0; row < shard.rows; row++) {
    const tokens = rowOffsets[row + 1] - rowOffsets[row];
    if (held[row] === wanted && tokens > 0) {
      examples += Math.ceil(tokens / index.windowTokens);
      index.documents++;
      index.tokens += tokens;
    }
    exampleOffsets[row + 1] = examples;
  }
  index.shards.push({
    path: shard.path,
    pieces: shard.pieces,
    rowOffsets,
    exampleOffsets,
    firstExample: index.examples,
  });
  index.examples += examples;
}

function shareWords(words: Uint32Array): Uint32Array {
  if (words.buffer instanceof SharedArrayBuffer) return words;
  const shared = new Uint32Array(new SharedArrayBuffer(words.byteLength));
  shared.set(words);
  return shared;
}

/** Where example `number` lies, 0 ≤ number < index.examples. */
export function locateExample(index: ExampleIndex, number: number): Example {
  const shard = lastAtMost(index.shards.length, (i) => index.shards[i].firstExample, number);
  const { rowOffsets, exampleOffsets, firstExample } = index.shards[shard];
  const row = lastAtMost(exampleOffsets.length, (i) => exampleOffsets[i], number - firstExample);
  const startToken = rowOffsets[row] + (number - firstExample - exampleOffsets[row]) * index.windowTokens;
  return { shard, row, startToken, tokens: Math.min(index.windowTokens, rowOffsets[row + 1] - startToken) };
}

/** The last i in [0, n) with valueAt(i) ≤ value, valueAt ascending and valueAt(0) ≤ value. */
export function lastAtMost(n: number, valueAt: (i: number) => number, value: number): number {
  let low = 0;
  let high = n;
  while (high - low > 1) {
    const middle = (low + high) >>> 1;
    if (valueAt(middle) <= value) low = middle;
    else high = middle;
  }
  return low;
}

/**
 * The tokens of `count` consecutive examples as few runs of the shards, in order.
 *
 * starts  (count + 1) out: where each example begins among the tokens of all runs together, and their end
 */
export function listRuns(index: ExampleIndex, first: number, count: number, starts: Int32Array): TokenRun[] {
  const runs: TokenRun[] = [];
  let { shard, row, startToken } = locateExample(index, first);
  let total = 0;
  for (let i = 0; i < count; i++) {
    let { rowOffsets, exampleOffsets } = index.shards[shard];
    if (startToken === rowOffsets[row + 1]) {
      // The document is done: go on to the next one that has an example in this split.
      do {
        row++;
        while (row === exampleOffsets.length - 1) {
          ({ rowOffsets, exampleOffsets } = index.shards[++shard]);
          row = 0;
        }
      } while (exampleOffsets[row + 1] === exampleOffsets[row]);
      startToken = rowOffsets[row];
    }
    const tokens = Math.min(index.windowTokens, rowOffsets[row + 1] - startToken);
    const run = runs.at(-1);
    if (run !== undefined && run.shard === shard && run.startToken + run.tokens === startToken) run.tokens += tokens;
    else runs.push({ shard, startToken, tokens });
    starts[i] = total;
    total += tokens;
    startToken += tokens;
  }
  starts[count] = total;
  return runs;
}
