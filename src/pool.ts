/**
 * Runs tasks on a piscina pool and yields the results in the order of the tasks, however many threads there are.
 * Back-pressure: at most `threads × 3` tasks are handed out and not yet consumed, so memory stays bounded when one task
 * is slow or the consumer is. A worker that dies is an error that names what it held; leaving the loop early, by error,
 * `break` or signal, ends the threads.
 */
import { Piscina } from 'piscina';
import type { Answer } from './answer.js';
import { GalvaniError } from './errors.js';

export interface PoolSettings {
  /** The command's name, for errors. */
  stage: string;
  /** Its default export takes a task and returns an Answer. */
  worker: URL;
  workerData: unknown;
  threads: number;
  signal?: AbortSignal;
}

export async function* runInOrder<T, R>(
  tasks: Iterable<T> | AsyncIterable<T>,
  describe: (task: T) => string,
  { stage, worker, workerData, threads, signal }: PoolSettings,
): AsyncGenerator<R> {
  const pool = new Piscina({
    filename: worker.href,
    workerData,
    minThreads: threads,
    maxThreads: threads,
    atomics: 'sync',
    // A worker has its next task when it ends one, also while this thread is busy.
    concurrentTasksPerWorker: 2,
  });
  // Ends every task in flight; the loop below then says why.
  let failed: GalvaniError | undefined;
  const fail = (error: GalvaniError) => {
    failed ??= error;
    void pool.destroy();
  };
  const stop = () => fail(stopped(stage));
  // Also a worker that dies between two tasks: its successor might do the same, and its tasks wait for ever.
  pool.on('error', (cause) => fail(deadWorker(stage, 'between two ranges', cause)));
  signal?.addEventListener('abort', stop);
  if (signal?.aborted) stop();
  const pending: { task: T; answer: Promise<Answer<R>>; isLost: boolean }[] = [];
  const source = iterate(tasks);
  try {
    for (;;) {
      if (failed) throw failed;
      while (pending.length < 3 * threads) {
        const next = await nextOf(source).catch((error) => {
          throw failed ?? error;
        });
        if (next.done) break;
        const answer: Promise<Answer<R>> = pool.run(next.value);
        const entry = { task: next.value, answer, isLost: false };
        // It is awaited when its turn comes; until then its failure is nobody's.
        answer.catch(() => {
          entry.isLost = true;
        });
        pending.push(entry);
      }
      const first = pending.shift();
      if (first === undefined) return;
      const answer = await first.answer.catch(async (cause) => {
        // A worker that dies takes its next task with it, a moment later: it died in one of these.
        await new Promise(setImmediate);
        const lost = [first, ...pending.filter(({ isLost }) => isLost)];
        throw failed ?? deadWorker(stage, lost.map(({ task }) => describe(task)).join(' or '), cause);
      });
      if ('error' in answer) throw new GalvaniError(answer.error);
      yield answer.result;
    }
  } finally {
    signal?.removeEventListener('abort', stop);
    await source.return?.();
    await pool.destroy();
  }
}

function iterate<T>(tasks: Iterable<T> | AsyncIterable<T>): Iterator<T> | AsyncIterator<T> {
  return Symbol.asyncIterator in tasks ? tasks[Symbol.asyncIterator]() : tasks[Symbol.iterator]();
}

async function nextOf<T>(source: Iterator<T> | AsyncIterator<T>): Promise<IteratorResult<T>> {
  return source.next();
}

function deadWorker(stage: string, where: string, cause: unknown): GalvaniError {
  return new GalvaniError({
    stage,
    expected: 'a worker that finishes its range',
    got: cause instanceof Error ? cause.message : String(cause),
    where,
    remedy: 'Run the same command again; with fewer --threads if memory was short.',
    cause,
  });
}

export function stopped(stage: string): GalvaniError {
  return new GalvaniError({
    stage,
    expected: 'to finish',
    got: 'a signal to stop',
    remedy: 'Run the same command again.',
    kind: 'tryAgain',
  });
}
