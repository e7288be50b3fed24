/** The pool's worker: one wasm instance and its word cache, kept from task to task. Errors leave as data (pool.ts). */
import { Piscina, workerData } from 'piscina';
import type { TokenBlock } from '../dataset/block.js';
import type { Manifest } from '../dataset/manifest.js';
import { GalvaniError } from '../errors.js';
import { WordPieceEncoder } from '../text/encoder.js';
import type { Answer } from './pool.js';
import type { Task } from './ranges.js';
import { type DocumentRule, TaskTokenizer } from './tokenization.js';

export interface WorkerData {
  /** The compiled text module, and the vocabulary's tables for it. */
  module: WebAssembly.Module;
  tables: Uint8Array;
  documents: DocumentRule;
  idType: Manifest['idType'];
  vocabularySize: number;
}

const { module, tables, documents, idType, vocabularySize } = workerData as WorkerData;
const tokenizer = new TaskTokenizer(new WordPieceEncoder(module, tables), documents, idType, vocabularySize);

export default function tokenizeTask(task: Task): Answer<TokenBlock> {
  try {
    return handOver(tokenizer.tokenize(task));
  } catch (error) {
    if (!(error instanceof GalvaniError)) throw error;
    return { error: { ...error.parts, cause: undefined } };
  }
}

/** The block's arrays move to the main thread, they are not copied. */
function handOver(result: TokenBlock): Answer<TokenBlock> {
  const { ids, lineEnds, borders, pieceCounts } = result;
  return Piscina.move({
    [Piscina.transferableSymbol]: [ids.buffer, lineEnds.buffer, borders.buffer, pieceCounts.buffer],
    [Piscina.valueSymbol]: { result },
  } as unknown as ArrayBuffer) as unknown as Answer<TokenBlock>;
}
