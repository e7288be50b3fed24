/** The pool's worker for `vocab`: the words of a task and their counts. */
import { workerData } from 'piscina';
import { WordPieceEncoder } from '../text/encoder.js';
import { type CountedWords, WordTable } from '../text/word-table.js';
import { type Answer, answer } from './answer.js';
import { LineReader } from './lines.js';
import type { Task } from './ranges.js';

export interface CountingWorkerData {
  module: WebAssembly.Module;
  /** For the normaliser; their vocabulary does not matter. */
  tables: Uint8Array;
}

export interface TaskCounts {
  words: CountedWords;
  /** Bytes that are not UTF-8 and were left out. */
  droppedBytes: number;
}

const { module, tables } = workerData as CountingWorkerData;
const normalizer = new WordPieceEncoder(module, tables);
const reader = new LineReader();
const table = new WordTable();

export default function countTask(task: Task): Answer<TaskCounts> {
  return answer(
    () => countWords(task),
    ({ words: { bytes, ends, counts, hashes } }) => [bytes, ends, counts, hashes],
  );
}

function countWords(task: Task): TaskCounts {
  const { droppedBytes } = normalizer;
  table.clear();
  for (const range of task) {
    for (const lines of normalizer.normalizedWords(reader.read(range))) table.addLines(lines);
  }
  const { bytes, ends, counts, hashes } = table.words();
  const words = { bytes: bytes.slice(), ends: ends.slice(), counts: counts.slice(), hashes: hashes.slice() };
  return { words, droppedBytes: normalizer.droppedBytes - droppedBytes };
}
