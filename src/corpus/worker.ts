/** The pool's worker for `prepare`: one wasm instance and its word cache, kept from task to task. */
import { workerData } from 'piscina';
import type { TokenBlock } from '../dataset/block.js';
import type { Manifest } from '../dataset/manifest.js';
import { WordPieceEncoder } from '../text/encoder.js';
import { type Answer, answer } from './answer.js';
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
  return answer(
    () => tokenizer.tokenize(task),
    ({ ids, lineEnds, borders, pieceCounts }) => [ids, lineEnds, borders, pieceCounts],
  );
}
