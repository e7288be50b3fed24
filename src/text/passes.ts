/**
 * Passes over one text, to be timed: a piscina pool, every thread with an instance of its own. A pass leaves all ids in
 * shared memory. Threads take ranges of a quarter of a megabyte, whole lines, from a common counter, so that none waits for
 * another before the end. Reading, compiling and starting threads are done before the first pass; misses of the word cache
 * and the engine's first, slower code are in it.
 */
import { readFileSync, statSync } from 'node:fs';
import { Piscina } from 'piscina';
import { GalvaniError } from '../errors.js';
import { compileTextModule } from './encoder.js';
import type { TokenizerSettings } from './profile.js';
import { compileTables } from './tables.js';
import type { Vocabulary } from './vocabulary.js';

/** What passWorker.ts is given. */
export interface PassData {
  readonly module: WebAssembly.Module;
  readonly tables: Uint8Array;
  readonly threads: number;
  /** Ranges of the text: [cuts[i], cuts[i + 1]). */
  readonly cuts: readonly number[];
  // In shared memory:
  readonly text: Uint8Array;
  /** A word a byte of text; the ids of a range begin where its bytes do. */
  readonly ids: Uint32Array;
  /** How many ids each range has. */
  readonly counts: Uint32Array;
  /** Threads that have begun, and how many ranges have been taken. */
  readonly state: Int32Array;
}

/** Places in `state`. */
export const begun = 0;
export const next = 1;

/** With the rest of the last line less than the encoder takes at once. From 2¹⁶ to 2²⁰ no difference was seen. */
const rangeBytes = 1 << 18;

export class TextPasses {
  /** Resident memory that the pool's threads have added a thread, ids not counted. */
  threadBytes = 0;
  readonly #pool: Piscina;
  readonly #data: PassData;
  readonly #residentBefore: number;

  private constructor(data: PassData) {
    this.#data = data;
    this.#residentBefore = process.memoryUsage.rss();
    this.#pool = new Piscina({
      filename: new URL('./passWorker.js', import.meta.url).href,
      workerData: data,
      minThreads: data.threads,
      maxThreads: data.threads,
      atomics: 'sync',
    });
  }

  static async open(
    vocabulary: Vocabulary,
    settings: TokenizerSettings,
    file: string,
    threads: number,
  ): Promise<TextPasses> {
    const bytes = readText(file);
    const text = new Uint8Array(new SharedArrayBuffer(bytes.length));
    text.set(bytes);
    const cuts = cutRanges(text);
    const passes = new TextPasses({
      module: compileTextModule(),
      tables: compileTables(vocabulary, settings),
      threads,
      cuts,
      text,
      ids: new Uint32Array(new SharedArrayBuffer(4 * text.length)),
      counts: new Uint32Array(new SharedArrayBuffer(4 * (cuts.length - 1))),
      state: new Int32Array(new SharedArrayBuffer(8)),
    });
    await passes.#run(0); // every thread is up
    return passes;
  }

  get bytes(): number {
    return this.#data.text.length;
  }

  /** Some passes over the text, without a pause between them. @returns the number of tokens in one. */
  async pass(times: number): Promise<number> {
    await this.#run(times);
    const tokens = this.#data.counts.reduce((sum, count) => sum + count, 0);
    const added = process.memoryUsage.rss() - this.#residentBefore - 4 * tokens;
    this.threadBytes = Math.max(this.threadBytes, added / this.#data.threads);
    return tokens;
  }

  /** What the last pass left, in the order of the text. */
  ids(): Uint32Array {
    const { ids, cuts, counts } = this.#data;
    const all = new Uint32Array(counts.reduce((sum, count) => sum + count, 0));
    let end = 0;
    counts.forEach((count, range) => {
      all.set(ids.subarray(cuts[range], cuts[range] + count), end);
      end += count;
    });
    return all;
  }

  close(): Promise<void> {
    return this.#pool.destroy();
  }

  async #run(times: number): Promise<void> {
    const { state, threads } = this.#data;
    state.fill(0);
    await Promise.all(Array.from({ length: threads }, () => this.#pool.run(times)));
  }
}

/** Node 20 passes arrays of less than 4 GiB to a thread, and a word is kept for every byte. */
const mostBytes = 1 << 30;

function readText(file: string): Buffer {
  try {
    const { size } = statSync(file);
    if (size >= mostBytes) throw unfit(`less than ${mostBytes} bytes of text`, `${size}`, file);
    return readFileSync(file);
  } catch (cause) {
    if (cause instanceof GalvaniError) throw cause;
    throw unfit('a readable text file', (cause as Error).message, file, cause);
  }
}

function unfit(expected: string, got: string, where: string, cause?: unknown): GalvaniError {
  const remedy = 'Give another file, or a part of this one.';
  return new GalvaniError({ stage: 'bench', expected, got, where, remedy, kind: 'badInput', cause });
}

/** Ends of ranges, each behind the first line end that makes it long enough. */
function cutRanges(text: Uint8Array): number[] {
  const cuts = [0];
  while (cuts[cuts.length - 1] < text.length) {
    const lineEnd = text.indexOf(0x0a, cuts[cuts.length - 1] + rangeBytes);
    cuts.push(lineEnd < 0 ? text.length : lineEnd + 1);
  }
  return cuts;
}
