/** The pool's worker for `prepare`: one reader, one wasm instance and its word cache, kept from task to task. */
import path from 'node:path';
import { threadId } from 'node:worker_threads';
import { workerData } from 'piscina';
import { type Answer, answer } from '../answer.js';
import type { TextCounts, TokenBlock } from '../dataset/block.js';
import { WordPieceEncoder } from '../text/encoder.js';
import { type Crate, CrateStore } from './crates.js';
import type { Task } from './ranges.js';
import { type ReaderRules, TaskReader } from './reader.js';
import { SpillWriter } from './spill.js';
import { type LastBlock, TaskTokenizer, type TokenizerRules } from './tokenization.js';

export interface WorkerData {
  /** The compiled text module, and the vocabulary's tables for it. */
  module: WebAssembly.Module;
  tables: Uint8Array;
  vocabularySize: number;
  reader: ReaderRules;
  tokenizer: TokenizerRules;
  /** Where blocks go that should not wait in memory. */
  spillFolder: string;
  /** Shared: bytes read and tokens made, by all workers, for progress. */
  counters: BigInt64Array;
}

/** What a task came to: its last block and the counts of its pieces in a crate, and in a file the blocks before (spill.ts). */
export interface TaskTokens {
  crate: Crate;
  spill?: string;
  counts: Omit<TextCounts, 'pieces'>;
}

const {
  module,
  tables,
  vocabularySize,
  reader: readerRules,
  tokenizer: rules,
  spillFolder,
  counters,
} = workerData as WorkerData;
const reader = new TaskReader(readerRules, (bytes) => Atomics.add(counters, 0, BigInt(bytes)));
const tokenizer = new TaskTokenizer(reader, new WordPieceEncoder(module, tables, vocabularySize), rules);
const crates = new CrateStore();
let spills = 0;

export default function tokenizeTask(task: Task): Promise<Answer<TaskTokens>> {
  return answer(() => tokenize(task));
}

async function tokenize(task: Task): Promise<TaskTokens> {
  const blocks = tokenizer.tokenize(task);
  let next = await blocks.next();
  const spill = next.done ? undefined : path.join(spillFolder, `spill-${threadId}-${spills++}`);
  if (spill !== undefined) {
    const writer = await SpillWriter.create(spill);
    try {
      for (; !next.done; next = await blocks.next()) {
        countTokens(next.value);
        await writer.write(next.value);
      }
    } finally {
      await writer.close();
    }
  }
  const { block, counts } = (next as IteratorReturnResult<LastBlock>).value;
  countTokens(block);
  const { pieces, ...others } = counts;
  return { spill, crate: crates.pack({ block, pieces }), counts: others };
}

function countTokens({ ids }: TokenBlock): void {
  Atomics.add(counters, 1, BigInt(ids.length));
}
