/**
 * Runs rows of any length through one of the two models, with programs of few shapes that are all loaded at once: row
 * lengths are rounded up to powers of two, row counts to powers of four. Padding is behind the walls of attention, so a
 * row's values do not depend on its company, but for the last bits that an engine's tiling may change.
 */
import type { Engine, Inputs, Runtime } from '../engines/engine.js';
import { type ModelFolder, modelOfOne } from '../formats/huggingface.js';
import { buildDiscriminate, buildFillMask } from '../model/electra.js';
import { keysOf, type ModelPart } from '../model/parameters.js';
import { flopsOf } from '../program/print.js';
import type { Program } from '../program/program.js';

export interface Row {
  readonly ids: readonly number[];
  /** Where token type 1 begins; the number of ids when nowhere. */
  readonly second: number;
  /** Generator: places whose logits are wanted, at most `maskedPlaces`. */
  readonly masked?: readonly number[];
}

/** Masked places that one pass of the generator answers. */
export const maskedPlaces = 8;
const shortestRow = 32;
/** Tokens and work of one pass: beyond it, a larger pass is no faster a token. */
const passTokens = 2048;
const passFlops = 10e9;
/** The generator's logits take (rows · masked places · V) values, and its texts come one by one. */
const generatorRows = 4;

interface Shape {
  /** T */
  readonly places: number;
  /** B, ascending: the row counts that there are programs for. */
  readonly rows: readonly number[];
}

export class Runner {
  readonly #runtime: Runtime;
  readonly #shapes: readonly Shape[];
  readonly #part: ModelPart;

  private constructor(runtime: Runtime, shapes: readonly Shape[], part: ModelPart) {
    this.#runtime = runtime;
    this.#shapes = shapes;
    this.#part = part;
  }

  static async open(engine: Engine, folder: ModelFolder, threads?: number): Promise<Runner> {
    const { part, config, weights } = folder;
    const model = modelOfOne(config);
    const build = (rows: number, places: number) =>
      part === 'discriminator'
        ? buildDiscriminate(model, { rows, places, segments: 1 })
        : buildFillMask(model, { rows, places, segments: 1, masked: maskedPlaces });
    const programs: Record<string, Program> = {};
    const shapes: Shape[] = [];
    for (const places of rowLengths(config.max_position_embeddings)) {
      const one = build(1, places);
      const most = Math.min(passTokens / places, passFlops / flopsOf(one));
      const rows = rowCounts(part === 'generator' ? Math.min(most, generatorRows) : most);
      for (const count of rows) programs[programName(count, places)] = count === 1 ? one : build(count, places);
      shapes.push({ places, rows });
    }
    const runtime = await engine.load(programs, { threads });
    await runtime.write(new Map([...keysOf(model, part)].map(([key, name]) => [name, weights.get(key)!])));
    return new Runner(runtime, shapes, part);
  }

  /** Logits of each row: (its length) from the discriminator, (masked, V) flat from the generator. */
  async run(rows: readonly Row[]): Promise<Float32Array[]> {
    const results: Float32Array[] = [];
    const pending: Promise<void>[] = [];
    for (const { shape, members } of this.#groupRows(rows)) {
      for (let first = 0; first < members.length; ) {
        const left = members.length - first;
        const count = shape.rows.find((known) => known >= left) ?? shape.rows[shape.rows.length - 1];
        const batch = members.slice(first, first + count);
        const inputs = this.#inputsOf(
          batch.map((i) => rows[i]),
          count,
          shape.places,
        );
        const ticket = await this.#runtime.submit(programName(count, shape.places), inputs);
        const done = ticket.outputs.then(({ logits }) => {
          const stride = logits.length / count;
          for (const [row, i] of batch.entries()) {
            const wanted = this.#part === 'discriminator' ? rows[i].ids.length : usedOf(rows[i], stride);
            results[i] = Float32Array.from(logits.subarray(row * stride, row * stride + wanted));
          }
        });
        // What goes wrong is heard below, or by the next submit; until then it must not count as unheard.
        done.catch(() => {});
        pending.push(done);
        first += batch.length;
      }
    }
    await Promise.all(pending);
    return results;
  }

  close(): Promise<void> {
    return this.#runtime.close();
  }

  /** Row numbers by the shortest shape that holds them. */
  #groupRows(rows: readonly Row[]): { shape: Shape; members: number[] }[] {
    const groups = this.#shapes.map((shape) => ({ shape, members: [] as number[] }));
    for (const [i, { ids }] of rows.entries()) groups.find(({ shape }) => shape.places >= ids.length)!.members.push(i);
    return groups;
  }

  #inputsOf(batch: readonly Row[], rows: number, places: number): Inputs {
    const ids = new Int32Array(rows * places);
    const lengths = new Int32Array(rows);
    const seconds = new Int32Array(rows);
    const masked = new Int32Array(rows * maskedPlaces);
    for (const [row, { ids: own, second, masked: asked }] of batch.entries()) {
      ids.set(own, row * places);
      lengths[row] = own.length;
      seconds[row] = second;
      masked.set(asked ?? [], row * maskedPlaces);
    }
    // Nothing is drawn: inference has no dropout.
    const inputs = { ids, lengths, seconds, draw: new Int32Array(4) };
    return this.#part === 'discriminator' ? inputs : { ...inputs, places: masked };
  }
}

function usedOf({ masked = [] }: Row, stride: number): number {
  return (masked.length * stride) / maskedPlaces;
}

/** 32, 64, 128, … and the longest row that the model reads. */
function rowLengths(longest: number): number[] {
  const lengths: number[] = [];
  for (let length = shortestRow; length < longest; length *= 2) lengths.push(length);
  return [...lengths, longest];
}

/** 1, 4, 16, … up to what one pass takes. */
function rowCounts(most: number): number[] {
  const counts = [1];
  while (counts[counts.length - 1] * 4 <= most) counts.push(counts[counts.length - 1] * 4);
  return counts;
}

function programName(rows: number, places: number): string {
  return `${rows}x${places}`;
}
