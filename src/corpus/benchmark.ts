/**
 * Measures `prepare` from files to published shards, beside its ceiling: the tokenizer alone on the same text, one core.
 * The text is read again and again until there is enough of it that starting threads weighs little. Every run's dataset is
 * verified before its time counts.
 */
import { mkdtemp, rm } from 'node:fs/promises';
import os from 'node:os';
import path from 'node:path';
import { verifyDataset } from '../dataset/verification.js';
import { median } from '../median.js';
import { compileTextModule, WordPieceEncoder } from '../text/encoder.js';
import { readSource } from '../text/source.js';
import { compileTables } from '../text/tables.js';
import { type InputFile, listInputs } from './inputs.js';
import { type PrepareSettings, prepare } from './prepare.js';
import { planTasks } from './ranges.js';
import { TaskReader } from './reader.js';
import { compileJsonModule } from './readers/jsonLines.js';

const leastBytes = 100e6;

export interface PrepareBenchmark {
  /** Median over the runs; MB are 10⁶ bytes of text. */
  megabytesPerSecond: number;
  megabytesPerSecondOfRuns: number[];
  tokensPerSecond: number;
  threads: number;
  bytes: number;
  tokens: number;
  /** One core: reading and tokenizing, no shards. */
  tokenizerMegabytesPerSecond: number;
  /** Of `threads` times the tokenizer alone. */
  fractionOfTokenizer: number;
}

export async function benchmarkPrepare(
  settings: Pick<PrepareSettings, 'inputs' | 'vocabulary' | 'threads'>,
  runs = 3,
): Promise<PrepareBenchmark> {
  const { vocabulary, threads } = settings;
  const folder = await mkdtemp(path.join(os.tmpdir(), 'galvani-bench-'));
  try {
    const files = listInputs(settings.inputs, [folder, vocabulary]);
    const bytesOnce = files.reduce((sum, file) => sum + file.bytes, 0);
    const times = Math.max(1, Math.ceil(leastBytes / Math.max(1, bytesOnce)));
    const inputs = Array.from({ length: times }, () => settings.inputs).flat();
    const bytes = times * bytesOnce;
    const seconds: number[] = [];
    let tokens = 0;
    for (let run = 0; run < runs; run++) {
      const output = path.join(folder, `run${run}`);
      const start = performance.now();
      await prepare({ ...plain, inputs, vocabulary, threads, output });
      seconds.push((performance.now() - start) / 1000);
      tokens = (await verifyDataset(output)).tokens;
      await rm(output, { recursive: true });
    }
    const tokenizer = await measureTokenizer(files, vocabulary, times);
    const typical = median(seconds);
    return {
      megabytesPerSecond: bytes / 1e6 / typical,
      megabytesPerSecondOfRuns: seconds.map((s) => bytes / 1e6 / s),
      tokensPerSecond: tokens / typical,
      threads,
      bytes,
      tokens,
      tokenizerMegabytesPerSecond: bytes / 1e6 / tokenizer,
      fractionOfTokenizer: tokenizer / typical / threads,
    };
  } finally {
    await rm(folder, { recursive: true, force: true });
  }
}

const plain = { profile: 'huggingface', lowercase: true, documents: 'blank-line', shardTokens: 1 << 26 } as const;

/** Seconds that one thread takes to read and tokenize all of it. */
async function measureTokenizer(files: InputFile[], vocabularyPath: string, times: number): Promise<number> {
  const { vocabulary, settings } = readSource(vocabularyPath, plain);
  const encoder = new WordPieceEncoder(compileTextModule(), compileTables(vocabulary, settings));
  const reader = new TaskReader({
    textField: 'text',
    skipsErrors: false,
    jsonModule: compileJsonModule(),
    temporaryFolder: os.tmpdir(),
  });
  const start = performance.now();
  for (let time = 0; time < times; time++) {
    for (const range of [...planTasks(files)].flat()) {
      for await (const { bytes } of reader.read(range, () => {})) encoder.encodeLines(bytes);
    }
  }
  return (performance.now() - start) / 1000;
}
