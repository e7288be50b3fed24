/**
 * How fast text becomes ids: the figures of `galvani bench tokenize`. Every round starts a process with one thread and one
 * with all of them; each makes a cold pass over the text, then warm ones, the two in turn, so that what else the machine
 * does meets both. Figures are medians over all rounds.
 */
import { fileURLToPath } from 'node:url';
import { median } from '../median.js';
import { profiles, type TokenizerSettings } from './profile.js';
import { type PassFigures, TimedProcess } from './timedProcess.js';

export interface TokenizeFigures {
  bytes: number;
  tokens: number;
  profile: TokenizerSettings['profile'];
  wordLimit: number;
  rounds: number;
  /** Warm passes of each process. */
  passes: number;
  oneThread: ThreadFigures;
  allThreads: ThreadFigures;
  /** Quotient of the two speeds, warm. */
  speedup: number;
  /** Resident memory that a tokenizing thread adds, its JavaScript engine included; the most of all rounds. */
  workerBytes: number;
}

/** MB are 10⁶ bytes of UTF-8. */
export interface ThreadFigures {
  threads: number;
  /** The first pass of a fresh process. */
  coldMegabytesPerSecond: number;
  megabytesPerSecond: number;
  tokensPerSecond: number;
  /** Of text, by the CPU time of the whole process. */
  megabytesPerCpuSecond: number;
}

export interface TokenizeBenchmark {
  /** Path of a UTF-8 text. */
  input: string;
  /** Path of the vocabulary. */
  vocab: string;
  settings: TokenizerSettings;
  threads: number;
  rounds?: number;
  passes?: number;
}

/** As many passes a sample as take this long cold: where it begins and ends, threads wait for each other. */
const leastSampleSeconds = 0.5;

/** A process of ours, ready for its cold pass. */
export function startPasses(
  { input, vocab, settings }: Pick<TokenizeBenchmark, 'input' | 'vocab' | 'settings'>,
  threads: number,
): Promise<TimedProcess> {
  const script = fileURLToPath(new URL('./passProcess.js', import.meta.url));
  return TimedProcess.start('galvani', process.execPath, [
    script,
    vocab,
    JSON.stringify(settings),
    `${threads}`,
    input,
  ]);
}

/** Each process's cold pass, then `passes` warm ones, all in turn. */
export async function timeInTurn(
  processes: readonly TimedProcess[],
  passes: number,
): Promise<{ cold: PassFigures; warm: PassFigures[] }[]> {
  const figures: { cold: PassFigures; warm: PassFigures[] }[] = [];
  for (const one of processes) figures.push({ cold: await one.pass(), warm: [] });
  for (let pass = 0; pass < passes; pass++) {
    for (const [i, one] of processes.entries()) {
      const { cold, warm } = figures[i];
      warm.push(await one.pass(Math.ceil(leastSampleSeconds / cold.seconds)));
    }
  }
  return figures;
}

export async function benchmarkTokenize(benchmark: TokenizeBenchmark): Promise<TokenizeFigures> {
  const { settings, threads, rounds = 3, passes = 7 } = benchmark;
  const counts = threads === 1 ? [1] : [1, threads];
  const cold = counts.map((): PassFigures[] => []);
  const warm = counts.map((): PassFigures[] => []);
  for (let round = 0; round < rounds; round++) {
    const processes: TimedProcess[] = [];
    try {
      for (const count of counts) processes.push(await startPasses(benchmark, count));
      for (const [i, timed] of (await timeInTurn(processes, passes)).entries()) {
        cold[i].push(timed.cold);
        warm[i].push(...timed.warm);
      }
    } finally {
      for (const one of processes) await one.close();
    }
  }
  const figures = counts.map((count, i) => describe(count, cold[i], warm[i]));
  const [{ bytes, tokens }] = cold[0];
  return {
    bytes,
    tokens,
    profile: settings.profile,
    wordLimit: profiles[settings.profile].wordLimit,
    rounds,
    passes,
    oneThread: figures[0],
    allThreads: figures[figures.length - 1],
    speedup: figures[figures.length - 1].megabytesPerSecond / figures[0].megabytesPerSecond,
    workerBytes: Math.max(...warm.flat().map(({ threadBytes }) => threadBytes as number)),
  };
}

function describe(threads: number, cold: PassFigures[], warm: PassFigures[]): ThreadFigures {
  const [{ bytes, tokens }] = warm;
  const seconds = median(warm.map((pass) => pass.seconds));
  return {
    threads,
    coldMegabytesPerSecond: bytes / 1e6 / median(cold.map((pass) => pass.seconds)),
    megabytesPerSecond: bytes / 1e6 / seconds,
    tokensPerSecond: tokens / seconds,
    megabytesPerCpuSecond: bytes / 1e6 / median(warm.map((pass) => pass.cpuSeconds)),
  };
}
