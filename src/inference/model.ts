/**
 * A trained pair, or one of the two, ready to be asked: what `loadModel` of the public API gives.
 *
 *   const model = await loadModel('model');
 *   const [logits] = await model.discriminate([ids]);   // one a token; > 0: more likely replaced than not
 *
 * Ids are read as they are given, special tokens and all. Texts longer than what the model was trained to read (the
 * folder's model_max_length, at most its positions) are read in overlapping windows (windows.ts). Each model takes memory when it is first asked.
 */

import type { Engine } from '../engines/engine.js';
import { loadEngine } from '../engines/index.js';
import { GalvaniError } from '../errors.js';
import { findModelFolders, type ModelFolder, modelParts, readModelFolder } from '../formats/huggingface.js';
import { type FolderTokenizer, readTokenizer } from '../formats/tokenizerFiles.js';
import type { ModelPart } from '../model/parameters.js';
import type { Tokenizer } from '../text/tokenizer.js';
import { maskedPlaces, type Row, Runner } from './runner.js';
import { type Window, windowsOf } from './windows.js';

export interface LoadModelOptions {
  /** Default `wasm`. */
  engine?: string;
  /** Compute threads. Default: what the machine has. */
  threads?: number;
}

/** A window has to hold the frame and a token. */
const shortestWindow = 3;

export type Ids = ArrayLike<number>;

/**
 * @param directory holds `discriminator/` and `generator/`, or one of them, or is one of them.
 * @throws badInput for a folder that is missing, damaged, or of a model that Galvani does not have.
 */
export async function loadModel(
  directory: string,
  { engine = 'wasm', threads }: LoadModelOptions = {},
): Promise<Model> {
  const loaded = await loadEngine(engine);
  const found = await findModelFolders(directory);
  const folders: Partial<Record<ModelPart, ModelFolder>> = {};
  let tokenizer: FolderTokenizer | undefined;
  for (const part of modelParts) {
    const folder = found[part];
    if (folder === undefined) continue;
    folders[part] = await readModelFolder(folder);
    tokenizer ??= await readTokenizer(folder);
  }
  return new Model(directory, folders, tokenizer, loaded, threads);
}

export class Model {
  readonly directory: string;
  readonly #folders: Partial<Record<ModelPart, ModelFolder>>;
  readonly #tokenizer: FolderTokenizer | undefined;
  readonly #engine: Engine;
  readonly #threads: number | undefined;
  readonly #runners = new Map<ModelPart, Promise<Runner>>();

  constructor(
    directory: string,
    folders: Partial<Record<ModelPart, ModelFolder>>,
    tokenizer: FolderTokenizer | undefined,
    engine: Engine,
    threads?: number,
  ) {
    this.directory = directory;
    this.#folders = folders;
    this.#tokenizer = tokenizer;
    this.#engine = engine;
    this.#threads = threads;
  }

  /** @throws badInput where the folder has no vocabulary. */
  get tokenizer(): Tokenizer {
    if (this.#tokenizer) return this.#tokenizer.tokenizer;
    throw new GalvaniError({
      stage: 'model',
      expected: 'a vocab.txt or tokenizer.json beside the weights',
      got: 'neither',
      where: this.directory,
      remedy: 'Put the vocab.txt that the model was trained with into the folder.',
      kind: 'badInput',
    });
  }

  /**
   * Logits that each token was replaced, one a token.
   * @param seconds where token type 1 begins in each text; by default nowhere.
   */
  async discriminate(
    texts: readonly Ids[],
    { seconds }: { seconds?: readonly number[] } = {},
  ): Promise<Float32Array[]> {
    const windows = texts.map((ids) => this.#windowsOf('discriminator', ids));
    const rows = texts.flatMap((ids, i) => windows[i].map((window) => rowOf(ids, window, seconds?.[i])));
    const logits = await (await this.#runner('discriminator')).run(rows);
    let next = 0;
    return texts.map((ids, i) => {
      const values = new Float32Array(ids.length);
      for (const { places, ownFrom, ownTo } of windows[i]) {
        if (places.length > 0) values.set(logits[next].subarray(ownFrom, ownTo), places[ownFrom]);
        next++;
      }
      return values;
    });
  }

  /**
   * Logits over the vocabulary at each [MASK] of a text, in the order of the places.
   * @param second where token type 1 begins; by default nowhere.
   */
  async fillMask(ids: Ids, { second }: { second?: number } = {}): Promise<Float32Array[]> {
    const mask = this.tokenizer.vocabulary.specialId('[MASK]');
    const rows = this.#windowsOf('generator', ids).flatMap((window) => {
      const masked = window.places.flatMap((place, at) =>
        ids[place] === mask && at >= window.ownFrom && at < window.ownTo ? [at] : [],
      );
      const row = rowOf(ids, window, second);
      return chunksOf(masked, maskedPlaces).map((part): Row => ({ ...row, masked: part }));
    });
    const logits = await (await this.#runner('generator')).run(rows);
    const pieces = this.#folder('generator').config.vocab_size;
    return logits.flatMap((values) => chunksOf(values, pieces));
  }

  /** Gives back threads and memory. */
  async close(): Promise<void> {
    for (const runner of this.#runners.values()) await (await runner).close();
    this.#runners.clear();
  }

  #runner(part: ModelPart): Promise<Runner> {
    const known = this.#runners.get(part);
    if (known) return known;
    const runner = Runner.open(this.#engine, this.#folder(part), this.#threads);
    this.#runners.set(part, runner);
    // One that could not be opened has nothing to close, and may be tried again.
    runner.catch(() => this.#runners.delete(part));
    return runner;
  }

  #windowsOf(part: ModelPart, ids: Ids): Window[] {
    const { vocab_size: pieces, max_position_embeddings: positions } = this.#folder(part).config;
    for (let i = 0; i < ids.length; i++) {
      if (Number.isInteger(ids[i]) && ids[i] >= 0 && ids[i] < pieces) continue;
      throw new GalvaniError({
        stage: part,
        expected: `ids from 0 to ${pieces - 1}`,
        got: String(ids[i]),
        where: `place ${i}`,
        remedy: 'Make the ids with the vocab.txt of this model.',
        kind: 'wrongUse',
      });
    }
    const longest = Math.max(shortestWindow, Math.min(positions, this.#tokenizer?.maxLength ?? positions));
    return windowsOf(ids.length, longest, this.#isFramed(ids));
  }

  #isFramed(ids: Ids): boolean {
    const vocabulary = this.#tokenizer?.tokenizer.vocabulary;
    if (vocabulary === undefined || ids.length < 2) return false;
    return ids[0] === vocabulary.tokenToId('[CLS]') && ids[ids.length - 1] === vocabulary.tokenToId('[SEP]');
  }

  #folder(part: ModelPart): ModelFolder {
    const folder = this.#folders[part];
    if (folder) return folder;
    throw new GalvaniError({
      stage: part,
      expected: `the folder of a ${part}`,
      got: `only ${Object.keys(this.#folders).join(' and ')}`,
      where: this.directory,
      remedy: `Give the folder that "galvani export" made, or one with ${part}/ in it.`,
      kind: 'badInput',
    });
  }
}

function rowOf(ids: Ids, { places }: Window, second = ids.length): Row {
  return { ids: places.map((place) => ids[place]), second: places.filter((place) => place < second).length };
}

function chunksOf<T extends number[] | Float32Array>(values: T, size: number): T[] {
  const count = Math.ceil(values.length / size);
  return Array.from({ length: count }, (_, i) => values.slice(i * size, (i + 1) * size) as T);
}
