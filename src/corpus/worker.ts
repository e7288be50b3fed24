/** The pool's worker for `prepare`: one reader, one wasm instance and its word cache, kept from task to task. */
import path from 'node:path';
import { threadId } from 'node:worker_threads';
import { workerData } from 'piscina';
import type { TextCounts, TokenBlock } from '../dataset/block.js';
import { WordPieceEncoder } from '../text/encoder.js';
import { type Answer, answer } from './answer.js';
import type { Task } from './ranges.js';
import { type ReaderRules, TaskReader } from './reader.js';
import { SpillWriter } from './spill.js';
import { TaskTokenizer, type TokenizerRules } from './tokenization.js';

export interface WorkerData {
  /** The compiled text module, and the vocabulary's tables for it. */
  module: WebAssembly.Module;
  tables: Uint8Array;
  reader: ReaderRules;
  tokenizer: TokenizerRules;
  /** Where blocks go that should not wait in memory. */
  spillFolder: string;
  /** Shared: bytes read and tokens made, by all workers, for progress. */
  counters: BigInt64Array;
}

/** What a task came to: its only block, or the file that they are in (spill.ts). */
export interface TaskTokens {
  block?: TokenBlock;
  spill?: string;
  counts: TextCounts;
}

const { module, tables, reader: readerRules, tokenizer: rules, spillFolder, counters } = workerData as WorkerData;
const reader = new TaskReader(readerRules, (bytes) => Atomics.add(counters, 0, BigInt(bytes)));
const tokenizer = new TaskTokenizer(reader, new WordPieceEncoder(module, tables), rules);
let spills = 0;

export default function tokenizeTask(task: Task): Promise<Answer<TaskTokens>> {
  return answer(
    () => tokenize(task),
    ({ block, counts }) => [counts.pieces, ...(block ? arraysOf(block) : [])],
  );
}

async function tokenize(task: Task): Promise<TaskTokens> {
  const blocks = counted(tokenizer.tokenize(task));
  const first = await blocks.next();
  if (first.done) throw new Error('internal: a task without a block');
  let next = await blocks.next();
  if (next.done) return { block: first.value, counts: next.value };
  const spill = path.join(spillFolder, `spill-${threadId}-${spills++}`);
  const writer = await SpillWriter.create(spill);
  try {
    for (await writer.write(first.value); !next.done; next = await blocks.next()) await writer.write(next.value);
  } finally {
    await writer.close();
  }
  return { spill, counts: next.value };
}

async function* counted(blocks: AsyncGenerator<TokenBlock, TextCounts>): AsyncGenerator<TokenBlock, TextCounts> {
  for (;;) {
    const next = await blocks.next();
    if (next.done) return next.value;
    Atomics.add(counters, 1, BigInt(next.value.ids.length));
    yield next.value;
  }
}

function arraysOf({ ids, lineEnds, borders, textBytes }: TokenBlock): ArrayBufferView[] {
  return [ids, lineEnds, borders, ...(textBytes ? [textBytes] : [])];
}
