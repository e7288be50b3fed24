/** The wasm module `batch`: its bytes, and its functions with names for their arguments. See assembly/batch. */
import { readFile } from 'node:fs/promises';
import { GalvaniError } from '../errors.js';

export interface BatchKernels {
  drawWords(
    out: number,
    first: bigint,
    count: number,
    keyLow: number,
    keyHigh: number,
    step: number,
    stream: number,
  ): number;
  permuteRun(out: number, first: number, count: number, n: number, a: number, b: number, keys: number): void;
  openRows(rows: number, B: number, idBytes: number): number;
  longestRow(rows: number, B: number): number;
  gatherRows(
    rows: number,
    B: number,
    S: number,
    T: number,
    idBytes: number,
    ids: number,
    lengths: number,
    seconds: number,
    cls: number,
    sep: number,
    pad: number,
  ): number;
  sumWords(source: number, words: number): number;
  largestId(source: number, tokens: number, idBytes: number): number;
  maskRows(
    ids: number,
    lengths: number,
    places: number,
    seen: number,
    counts: number,
    scratch: number,
    continuations: number,
    placeDraws: number,
    choiceDraws: number,
    randomDraws: number,
    B: number,
    S: number,
    T: number,
    N: number,
    D: number,
    V: number,
    maskProb: number,
    maskReplaceProb: number,
    randomReplaceProb: number,
    withReplacement: boolean,
    cls: number,
    sep: number,
    mask: number,
    pad: number,
  ): number;
  drawReplacements(
    ids: number,
    counts: number,
    given: number,
    draws: number,
    table: number,
    B: number,
    T: number,
    N: number,
    V: number,
  ): void;
  drawNgrams(
    ids: number,
    places: number,
    counts: number,
    given: number,
    draws: number,
    tables: number,
    aliases: number,
    B: number,
    T: number,
    N: number,
    V: number,
    disallowCorrect: boolean,
  ): void;
  drawCached(
    ids: number,
    places: number,
    counts: number,
    given: number,
    draws: number,
    logProbs: number,
    candidates: number,
    idBytes: number,
    scratch: number,
    temperature: number,
    B: number,
    T: number,
    N: number,
    k: number,
    disallowCorrect: boolean,
  ): void;
  redrawCorrect(
    ids: number,
    places: number,
    counts: number,
    given: number,
    table: number,
    drawable: number,
    scratch: number,
    first: bigint,
    keyLow: number,
    keyHigh: number,
    step: number,
    stream: number,
    B: number,
    T: number,
    N: number,
    V: number,
  ): void;
}

export async function compileKernels(): Promise<WebAssembly.Module> {
  const bytes = await readFile(new URL('../../assembly/batch.wasm', import.meta.url));
  if (!WebAssembly.validate(bytes)) {
    throw new GalvaniError({
      stage: 'batch',
      expected: 'a runtime with WebAssembly SIMD and threads',
      got: `Node ${process.versions.node} without them`,
      remedy: 'Use Node 20.19 or later on a 64-bit machine.',
    });
  }
  return WebAssembly.compile(bytes);
}

export function instantiateKernels(module: WebAssembly.Module, memory: WebAssembly.Memory): BatchKernels {
  return new WebAssembly.Instance(module, { env: { memory } }).exports as unknown as BatchKernels;
}
