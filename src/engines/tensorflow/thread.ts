/**
 * The session's thread as the main thread sees it: requests go in, answers come back in the same order. It keeps the
 * process alive only while an answer is due. A thread that dies rejects all that are, and every later request.
 */
import { Worker } from 'node:worker_threads';
import { GalvaniError } from '../../errors.js';
import { closedEngine } from '../programs.js';
import type { Candidate } from './binding.js';
import { memoryOf, type Ran, type Run } from './session.js';
import type { Answer, Opened, Request } from './worker.js';

interface Waiting {
  readonly resolve: (result: never) => void;
  readonly reject: (cause: unknown) => void;
}

/** Bindings that this process has opened. */
const opened = new Set<string>();

export class SessionThread {
  readonly #candidate: Candidate;
  readonly #worker: Worker;
  /** Those whose answers are due, oldest first. */
  readonly #waiting: Waiting[] = [];
  #failure: GalvaniError | undefined;

  constructor(candidate: Candidate) {
    this.#candidate = candidate;
    this.#worker = new Worker(new URL('./worker.js', import.meta.url), {
      workerData: candidate,
      name: 'galvani tensorflow',
    });
    this.#worker.unref();
    this.#worker.on('message', (answer: Answer) => this.#take(answer));
    this.#worker.on('error', (cause) =>
      this.#fail(`an error: ${cause instanceof Error ? cause.message : cause}`, cause),
    );
    this.#worker.on('exit', (code) => this.#fail(`its end with code ${code}`));
  }

  /** Why nothing more can be asked of it, if so. */
  get failure(): GalvaniError | undefined {
    return this.#failure;
  }

  /**
   * Loads the library and the binding. A library for GPUs is tried in another process before its first time in this one,
   * since a driver that does not fit ends the process: seconds that a library for CPUs does not take.
   */
  async open(): Promise<Opened> {
    const { device, binding } = this.#candidate;
    const answer = await this.#ask<Opened>({ kind: 'open', tries: device === 'gpu' && !opened.has(binding) });
    opened.add(binding);
    return answer;
  }

  /** Loads the graph of a SavedModel. */
  load(directory: string): Promise<void> {
    return this.#ask({ kind: 'load', directory });
  }

  /** Takes the memory of feeds that is not shared. Rejects with an Error that holds the library's text. */
  run(run: Run): Promise<Ran> {
    return this.#ask({ kind: 'run', ...run }, memoryOf(run.feeds.map(({ values }) => values)));
  }

  /** Ends the session, after what was asked before, and the thread. */
  async close(): Promise<void> {
    if (this.#failure) return;
    const done = this.#ask<void>({ kind: 'close' });
    this.#failure = closedEngine('tensorflow');
    try {
      await done;
    } finally {
      await this.#worker.terminate();
    }
  }

  #ask<Result>(request: Request, memory: readonly ArrayBuffer[] = []): Promise<Result> {
    if (this.#failure) return Promise.reject(this.#failure);
    return new Promise((resolve, reject) => {
      this.#worker.postMessage(request, memory);
      if (this.#waiting.length === 0) this.#worker.ref();
      this.#waiting.push({ resolve, reject });
    });
  }

  #take(answer: Answer): void {
    const { resolve, reject } = this.#waiting.shift()!;
    if (this.#waiting.length === 0) this.#worker.unref();
    if ('result' in answer) resolve(answer.result as never);
    else reject(typeof answer.error === 'string' ? new Error(answer.error) : new GalvaniError(answer.error));
  }

  #fail(got: string, cause?: unknown): void {
    this.#failure ??= new GalvaniError({
      stage: 'tensorflow',
      expected: 'a thread that works until it is closed',
      got,
      remedy: 'Start again from the last checkpoint; if it happens again, report it with its cause.',
      cause,
    });
    for (const { reject } of this.#waiting.splice(0)) reject(this.#failure);
  }
}
