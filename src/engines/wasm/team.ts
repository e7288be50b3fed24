/**
 * The team of threads, as the main thread sees it: it posts jobs (a tape each) and learns when they are done, and
 * never computes or blocks. At most `slots` jobs are in flight; whoever posts waits for `free()`.
 *
 * A thread that dies ends the team: every job that is pending rejects with the cause, and so does every later one.
 * Threads keep the process alive only while a job is pending.
 */
import { availableParallelism } from 'node:os';
import { Worker } from 'node:worker_threads';
import { Control } from '../../../assembly/compute/opcodes.js';
import { GalvaniError } from '../../errors.js';
import { closedEngine } from '../programs.js';
import { slots } from './layout.js';
import type { WorkerSettings } from './worker.js';

export interface TeamSettings {
  readonly module: WebAssembly.Module;
  readonly memory: WebAssembly.Memory;
  readonly control: number;
  /** Address of each thread's scratch: as many as there are threads. */
  readonly scratch: readonly number[];
}

/** Loads of a word before a waiting thread sleeps: about 20 µs where each thread has a core, 1 µs where they share. */
const spinsWithCore = 20_000;
const spinsSharing = 1_000;

interface Job {
  readonly resolve: () => void;
  readonly reject: (cause: unknown) => void;
  readonly done: Promise<void>;
}

export class Team {
  readonly #workers: Worker[];
  readonly #words: Int32Array;
  /** Pending jobs, oldest first; the first is number `#completed`. */
  readonly #jobs: Job[] = [];
  #submitted = 0;
  #completed = 0;
  #isWatching = false;
  #failure: GalvaniError | undefined;
  #isClosing = false;

  private constructor(workers: Worker[], words: Int32Array) {
    this.#workers = workers;
    this.#words = words;
  }

  static async start({ module, memory, control, scratch }: TeamSettings): Promise<Team> {
    const threads = scratch.length;
    const spins = threads <= availableParallelism() ? spinsWithCore : spinsSharing;
    const workers = scratch.map((address, thread) => {
      const workerData: WorkerSettings = { module, memory, control, thread, threads, spins, scratch: address };
      return new Worker(new URL('./worker.js', import.meta.url), { workerData, name: `galvani compute ${thread}` });
    });
    const team = new Team(workers, new Int32Array(memory.buffer, control, Control.Bytes / 4));
    const ready = workers.map(
      (worker, thread) =>
        new Promise<void>((resolve, reject) => {
          worker.once('message', () => resolve());
          worker.once('error', (cause) => reject(team.#fail(`thread ${thread} ended with an error`, cause)));
          worker.once('exit', (code) => reject(team.#fail(`thread ${thread} ended with code ${code}`)));
        }),
    );
    await Promise.all(ready);
    for (const worker of workers) worker.unref();
    return team;
  }

  /** Settled when another job may be posted. */
  async free(): Promise<void> {
    while (this.#jobs.length >= slots) await this.#jobs[0].done;
    if (this.#failure) throw this.#failure;
  }

  /** The slot that the next job's inputs and outputs lie in. */
  get nextSlot(): number {
    return this.#submitted % slots;
  }

  /** Posts a tape; to be called when `free()` has settled. The promise is settled when all threads are through. */
  post(tape: number): Promise<void> {
    if (this.#failure) return Promise.reject(this.#failure);
    let resolve: () => void = () => {};
    let reject: (cause: unknown) => void = () => {};
    const done = new Promise<void>((onDone, onFailure) => {
      resolve = onDone;
      reject = onFailure;
    });
    // Whoever waits hears of a failure; that nobody waits is no reason to end the process.
    done.catch(() => {});
    if (this.#jobs.length === 0) for (const worker of this.#workers) worker.ref();
    this.#jobs.push({ resolve, reject, done });
    this.#hand(tape);
    this.#watch();
    return done;
  }

  /** Settled when no job is pending. */
  async idle(): Promise<void> {
    while (this.#jobs.length > 0) await this.#jobs[this.#jobs.length - 1].done;
    if (this.#failure) throw this.#failure;
  }

  /** Lets pending jobs end, then the threads. */
  async close(): Promise<void> {
    if (!this.#failure) {
      await this.idle().catch(() => {});
    }
    if (this.#isClosing) return;
    this.#isClosing = true;
    this.#failure ??= closedEngine('wasm');
    this.#hand(0);
    await Promise.all(this.#workers.map((worker) => worker.terminate()));
  }

  /** The tape first, then the number that the threads wait on. */
  #hand(tape: number): void {
    Atomics.store(this.#words, Control.Tapes / 4 + (this.#submitted % slots), tape | 0);
    this.#submitted++;
    Atomics.store(this.#words, Control.Submitted / 4, this.#submitted);
    Atomics.notify(this.#words, Control.Submitted / 4);
  }

  #watch(): void {
    if (this.#isWatching) return;
    while (this.#jobs.length > 0) {
      const completed = Atomics.load(this.#words, Control.Completed / 4);
      if (completed > this.#completed) {
        this.#complete();
        continue;
      }
      const wait = Atomics.waitAsync(this.#words, Control.Completed / 4, completed);
      if (!wait.async) continue;
      this.#isWatching = true;
      void wait.value.then(() => {
        this.#isWatching = false;
        this.#watch();
      });
      return;
    }
  }

  #complete(): void {
    this.#completed++;
    this.#jobs.shift()?.resolve();
    if (this.#jobs.length === 0) for (const worker of this.#workers) worker.unref();
  }

  /** Ends the team; the other threads wait for the lost one and cannot go on. */
  #fail(what: string, cause?: unknown): GalvaniError {
    if (this.#failure) return this.#failure;
    this.#failure = new GalvaniError({
      stage: 'wasm',
      expected: `${this.#workers.length} compute threads that work until they are closed`,
      got: what,
      where: `job ${this.#completed}`,
      remedy: 'Start again from the last checkpoint; if it happens again, report it with its cause.',
      cause,
    });
    for (const job of this.#jobs.splice(0)) job.reject(this.#failure);
    for (const worker of this.#workers) void worker.terminate();
    return this.#failure;
  }
}
