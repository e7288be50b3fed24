/**
 * The team of threads, as the main thread sees it: it posts jobs (a tape each) and learns when they are done, and
 * never computes or blocks. At most `slots` jobs are in flight; whoever posts waits for `free()`.
 *
 * A thread that dies ends the team: every job that is pending rejects with the cause, and so does every later one. So
 * does a team that stands still: once a second the pulse wakes whoever sleeps, which makes a lost wake-up good, and looks
 * how far the threads are; when that stays the same for long, it says where they stand.
 * Threads keep the process alive only while a job is pending.
 */
import { availableParallelism } from 'node:os';
import { Worker } from 'node:worker_threads';
import { Control, Place } from '../../../assembly/compute/opcodes.js';
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

const pulseMs = 1000;
/** Pulses without any thread getting further. Pulses, not time: those of a process that was stopped are not made up for. */
const mostStillPulses = 120;

interface Job {
  /** What the tape is, for a person. */
  readonly name: string;
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
  readonly #memory: Int32Array;
  readonly #scratch: readonly number[];
  readonly #pulse: NodeJS.Timeout;
  #lastPlace = '';
  #stillPulses = 0;

  private constructor(workers: Worker[], { memory, control, scratch }: TeamSettings) {
    this.#workers = workers;
    this.#words = new Int32Array(memory.buffer, control, Control.Bytes / 4);
    this.#memory = new Int32Array(memory.buffer);
    this.#scratch = scratch;
    this.#pulse = setInterval(() => this.#beat(), pulseMs).unref();
  }

  static async start(settings: TeamSettings): Promise<Team> {
    const { module, memory, control, scratch } = settings;
    const threads = scratch.length;
    const spins = threads <= availableParallelism() ? spinsWithCore : spinsSharing;
    const workers = scratch.map((address, thread) => {
      const workerData: WorkerSettings = { module, memory, control, thread, threads, spins, scratch: address };
      return new Worker(new URL('./worker.js', import.meta.url), { workerData, name: `galvani compute ${thread}` });
    });
    const team = new Team(workers, settings);
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
  post(tape: number, name: string): Promise<void> {
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
    this.#jobs.push({ name, resolve, reject, done });
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
    clearInterval(this.#pulse);
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

  #beat(): void {
    if (this.#jobs.length === 0) return;
    for (const word of [Control.Submitted, Control.Generation, Control.Completed]) {
      Atomics.notify(this.#words, word / 4);
    }
    const place = this.#describePlace();
    this.#stillPulses = place === this.#lastPlace ? this.#stillPulses + 1 : 0;
    this.#lastPlace = place;
    if (this.#stillPulses < mostStillPulses) return;
    this.#fail(`none that got further for ${(mostStillPulses * pulseMs) / 1000} s: ${place}`);
  }

  /** Where every thread is. As long as any gets further, this changes. */
  #describePlace(): string {
    const word = (address: number) => Atomics.load(this.#memory, address >>> 2);
    const threads = this.#scratch.map((scratch, thread) => {
      const entry = word(scratch + Place.Entry) >>> 0;
      const operation = entry === 0 ? 'no operation yet' : `operation ${word(entry + 8)} at ${entry}`;
      return `thread ${thread}: ${operation}, ${word(scratch + Place.Barriers)} barriers`;
    });
    const control = Object.entries({
      arrived: Control.Arrived,
      generation: Control.Generation,
      sleepers: Control.Sleepers,
      submitted: Control.Submitted,
      completed: Control.Completed,
    }).map(([name, at]) => `${name} ${Atomics.load(this.#words, at / 4)}`);
    return [...threads, control.join(' ')].join('; ');
  }

  /** Ends the team; the other threads wait for the lost one and cannot go on. */
  #fail(what: string, cause?: unknown): GalvaniError {
    if (this.#failure) return this.#failure;
    clearInterval(this.#pulse);
    this.#failure = new GalvaniError({
      stage: 'wasm',
      expected: `${this.#workers.length} compute threads that work until they are closed`,
      got: what,
      where: [`job ${this.#completed}`, ...this.#jobs.slice(0, 1).map(({ name }) => `program ${name}`)].join(', '),
      remedy: 'Start again from the last checkpoint; if it happens again, report it with its cause.',
      cause,
    });
    for (const job of this.#jobs.splice(0)) job.reject(this.#failure);
    for (const worker of this.#workers) void worker.terminate();
    return this.#failure;
  }
}
