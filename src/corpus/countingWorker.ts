/** The pool's worker for `vocab`: the words of a task and their counts. */
import { workerData } from 'piscina';
import { type Answer, answer } from '../answer.js';
import { WordPieceEncoder } from '../text/encoder.js';
import { type CountedWords, WordTable } from '../text/word-table.js';
import type { Task } from './ranges.js';
import { type ReaderRules, TaskReader } from './reader.js';

export interface CountingWorkerData {
  module: WebAssembly.Module;
  /** For the normaliser; their vocabulary does not matter. */
  tables: Uint8Array;
  reader: ReaderRules;
}

export interface TaskCounts {
  words: CountedWords;
  /** Bytes that are not UTF-8 and were left out. */
  droppedBytes: number;
}

const { module, tables, reader: rules } = workerData as CountingWorkerData;
const normalizer = new WordPieceEncoder(module, tables);
const reader = new TaskReader(rules);
const table = new WordTable();

export default function countTask(task: Task): Promise<Answer<TaskCounts>> {
  return answer(
    () => countWords(task),
    ({ words: { bytes, ends, counts, hashes } }) => [bytes, ends, counts, hashes],
  );
}

async function countWords(task: Task): Promise<TaskCounts> {
  const { droppedBytes } = normalizer;
  table.clear();
  for (const range of task) {
    for await (const { bytes } of reader.read(range, () => {})) {
      for (const lines of normalizer.normalizedWords(bytes)) table.addLines(lines);
    }
  }
  const { bytes, ends, counts, hashes } = table.words();
  const words = { bytes: bytes.slice(), ends: ends.slice(), counts: counts.slice(), hashes: hashes.slice() };
  return { words, droppedBytes: normalizer.droppedBytes - droppedBytes };
}
