/**
 * What an engine is asked: every operation, forward and gradient, on seeded float32 inputs of awkward sizes, and how far
 * a float32 engine may be from the float64 reference.
 *
 * No tolerance is picked by hand. Linear operations: γ(n + few) times the reference on absolute values, element by
 * element (roundoff.ts). Others: the first-order propagation of that through the formula, as the comment at each bound
 * says. An elementary function costs 8 u of its value or of the scale named there (src and assembly state at most 4 ulp).
 */
import { operations } from '../../src/ops/index.js';
import {
  type Attributes,
  float32,
  int32,
  rowsOf,
  sizeOf,
  type TensorType,
  type Values,
} from '../../src/ops/operation.js';
import { openColumns } from '../../src/ops/softmaxCrossEntropy.js';
import { drawWords, keyOfSeed, uniformOfWord } from '../../src/random/philox.js';
import { attentionErrors, attentionGradientErrors } from './attention.js';
import { gamma, type ProductRounding, productError, sumError, unitRoundoff } from './roundoff.js';

export interface Case {
  readonly operation: string;
  readonly title: string;
  readonly attributes: Attributes;
  readonly inputs: readonly (CaseInput | undefined)[];
  /** Largest difference allowed, an output each: everywhere, or element by element. Of int32 outputs, 0. */
  bounds(context: BoundContext): (number | Float64Array)[];
  /** Outputs that are judged otherwise (`accepts`). */
  readonly judged?: readonly number[];
  /** What is wrong with the outputs that `bounds` leaves out. */
  accepts?(outputs: readonly Values[], reference: readonly Values[], products: ProductRounding): string | undefined;
}

export interface CaseInput {
  readonly type: TensorType;
  readonly values: Float32Array | Int32Array;
}

export interface BoundContext {
  readonly inputs: readonly Values[];
  readonly outputs: readonly Values[];
  readonly products: ProductRounding;
  /** The reference's outputs on the absolute values of all float inputs. */
  absolute(): readonly Values[];
}

/** 1, odd numbers, and every tail of vectors of 4, 8 and 16. */
export const awkwardSizes = [1, 3, 4, 5, 7, 8, 9, 15, 16, 17, 31, 33];

/** Seeded numbers; each call goes on where the last ended. */
class Numbers {
  #at = 0;
  readonly #key;

  constructor(seed: number) {
    this.#key = keyOfSeed(seed);
  }

  /** About normal: the sum of four uniforms, centred. */
  floats(count: number, scale = 1): Float32Array {
    const words = this.#words(4 * count);
    return Float32Array.from({ length: count }, (_, i) => {
      let sum = -2;
      for (let j = 0; j < 4; j++) sum += uniformOfWord(words[4 * i + j]);
      return sum * Math.sqrt(3) * scale;
    });
  }

  integers(count: number, bound: number): Int32Array {
    return Int32Array.from(this.#words(count), (word) => word % bound);
  }

  #words(count: number): Uint32Array {
    const words = new Uint32Array(count);
    drawWords(words, this.#key, 0x7fff, 0, this.#at);
    this.#at += count;
    return words;
  }
}

const numbers = new Numbers(20_240_607);

function floats(shape: readonly number[], scale = 1): CaseInput {
  return { type: float32(...shape), values: numbers.floats(sizeOf(shape), scale) };
}

function integers(shape: readonly number[], bound: number): CaseInput {
  return { type: int32(...shape), values: numbers.integers(sizeOf(shape), bound) };
}

function exactly(type: TensorType, values: readonly number[]): CaseInput {
  return { type, values: type.dtype === 'float32' ? Float32Array.from(values) : Int32Array.from(values) };
}

/** First rows from which indices over the whole batch are beyond 32 bits. */
const farRow = -3;

/** seed low, seed high, step, first row of this part of the batch (32 bits without a sign). */
function draw(firstRow: number): CaseInput {
  return exactly(int32(4), [0x12345678, 0x1234567, 77, firstRow]);
}

/** Lengths of S segments a row: full rows, rows with padding, rows of several segments, an empty row. */
function lengths(rows: number, places: number, segments: number): CaseInput {
  const values: number[] = [];
  for (let row = 0; row < rows; row++) {
    let left = row % 4 === 3 ? 0 : row % 2 === 0 ? places : Math.ceil(places / 2);
    for (let s = 0; s < segments; s++) {
      const length = s === segments - 1 ? left : Math.min(left, Math.ceil(left / 3));
      values.push(length);
      left -= length;
    }
  }
  return exactly(int32(rows, segments), values);
}

function secondsOf({ type, values }: CaseInput): CaseInput {
  return exactly(
    type,
    Array.from(values, (length, i) => (i % 2 === 0 ? length : Math.floor(length / 2))),
  );
}

function most(values: Values | Float32Array | Int32Array): number {
  let largest = 0;
  for (const value of values) largest = Math.max(largest, Math.abs(value));
  return largest;
}

function scaled(values: Values, factor: number): Float64Array {
  return Float64Array.from(values, (value) => Math.abs(value) * factor);
}

/** Bounds of an operation that is linear in all its float inputs: γ(n) on absolute values. */
function linearBounds(n: number): Case['bounds'] {
  return (context) => context.absolute().map((values) => scaled(values, gamma(n)));
}

/** Of a product of n terms that is added to the operation's third input, if there is one. */
function productBounds(n: number): Case['bounds'] {
  return addedBounds(2, (products) => productError(n, products), n);
}

/** Of what has a relative error over its terms' absolute values and is added to input `added`, if that is there. */
function addedBounds(added: number, error: (products: ProductRounding) => number, n: number): Case['bounds'] {
  return ({ inputs, products, absolute }) => {
    const [all] = absolute();
    const previous = inputs[added];
    return [
      Float64Array.from(all, (total, i) => {
        const there = previous ? Math.abs(previous[i]) : 0;
        return error(products) * (total - there) + gamma(n) * there;
      }),
    ];
  };
}

/** Rotates through the awkward sizes, a different stride for each axis, so that all of them meet many others. */
function sizes(i: number, stride: number): number {
  return awkwardSizes[(i * stride) % awkwardSizes.length];
}

/** (rows, columns, depth): awkward ones, and some that cross a tile and a block of the depth. */
const productShapes = [
  ...Array.from({ length: 24 }, (_, i) => [sizes(i, 1), sizes(i + Math.floor(i / 12), 5), sizes(i, 7)]),
  [70, 300, 1030],
  [1, 530, 17],
  [130, 9, 515],
];

function linearCases(): Case[] {
  return productShapes.flatMap(([rows, columns, depth], i) => {
    const activation = (['none', 'gelu', 'tanh'] as const)[i % 3];
    const bias = i % 2 === 0 ? floats([columns]) : undefined;
    const n = depth + 2;
    const dy = floats([rows, columns]);
    const weight = floats([columns, depth]);
    const x = floats([rows, depth]);
    const title = `${rows}×${columns}×${depth}`;
    const linear: Case = {
      operation: 'linear',
      title: `${title} ${activation}${bias ? ' with bias' : ''}`,
      attributes: { activation },
      inputs: [x, weight, bias],
      bounds({ inputs: [x, weight, bias], outputs: [y], products }) {
        const size = new Float64Array(y.length);
        const error = new Float64Array(y.length);
        for (let row = 0; row < rows; row++) {
          for (let out = 0; out < columns; out++) {
            const added = bias ? Math.abs(bias[out]) : 0;
            let sum = 0;
            for (let k = 0; k < depth; k++) sum += Math.abs(x[row * depth + k] * weight[out * depth + k]);
            size[row * columns + out] = sum + added;
            error[row * columns + out] = productError(n, products) * sum + sumError(n, products) * added;
          }
        }
        if (activation === 'none') return [error];
        return [
          // |gelu′| ≤ 1.13 and |tanh′| ≤ 1; the function itself is within 8 u of |pre| ≤ Σ|terms|.
          error.map((bound, i) => 1.13 * bound + 8 * unitRoundoff * size[i]),
          error,
        ];
      },
    };
    const inputGradient: Case = {
      operation: 'linearInputGradient',
      title: `${title}${i % 2 ? ' added' : ''}`,
      attributes: {},
      inputs: [dy, weight, i % 2 ? floats([rows, depth]) : undefined],
      bounds: productBounds(columns + 1),
    };
    const weightGradient: Case = {
      operation: 'linearWeightGradient',
      title: `${title}${i % 2 ? ' added' : ''}`,
      attributes: {},
      inputs: [dy, x, i % 2 ? floats([columns, depth]) : undefined],
      bounds: productBounds(rows + 1),
    };
    const biasGradient: Case = {
      operation: 'biasGradient',
      title: `${title}${i % 2 ? ' added' : ''}`,
      attributes: {},
      inputs: [dy, i % 2 ? floats([columns]) : undefined],
      bounds: addedBounds(1, (products) => sumError(rows + 1, products), rows + 1),
    };
    return [linear, inputGradient, weightGradient, biasGradient];
  });
}

function activationCases(): Case[] {
  return awkwardSizes.flatMap((width) =>
    (['gelu', 'tanh'] as const).map((activation): Case => {
      return {
        operation: 'activationGradient',
        title: `${activation} ${width}`,
        attributes: { activation },
        inputs: [floats([3, width]), floats([3, width], 3)],
        // The slope is at most 1.13 and within 6.5e-7 (11 u) of exact, as its kernel states; the product rounds once.
        // y is within 4 ulp of pre (gelu) or 5 of itself (tanh), which are at most 10 u of pre.
        bounds: ({ inputs: [dy, pre] }) => [scaled(dy, gamma(13)), scaled(pre, gamma(10))],
      };
    }),
  );
}

/**
 * Layer normalisation with M = max|x| of a row: x − mean is within e = (γ(W) + 3u) M; the inverse deviation r within
 * r (e r + γ(W + 8)); x̂ within (1 + |x̂|) (e r + γ(W + 8)). `extra` is the error that x itself comes with.
 */
function normBounds(
  x: Values,
  gain: Values,
  shift: Values,
  mean: Values,
  inverse: Values,
  extra: number,
): Float64Array[] {
  const width = gain.length;
  const y = new Float64Array(x.length);
  const means = new Float64Array(mean.length);
  const inverses = new Float64Array(mean.length);
  for (let row = 0; row < mean.length; row++) {
    const error = (gamma(width) + 3 * unitRoundoff) * most(x.subarray(row * width, (row + 1) * width)) + extra;
    const relative = error * inverse[row] + gamma(width + 8);
    means[row] = error;
    inverses[row] = inverse[row] * relative;
    for (let i = 0; i < width; i++) {
      const normal = (x[row * width + i] - mean[row]) * inverse[row];
      y[row * width + i] =
        Math.abs(gain[i]) * (1 + Math.abs(normal)) * relative + 2 * unitRoundoff * Math.abs(shift[i]);
    }
  }
  return [y, means, inverses];
}

function normCases(): Case[] {
  const epsilon = 1e-12;
  return [...awkwardSizes, 64, 130].flatMap((width, i): Case[] => {
    const shape = [2, sizes(i, 5), width];
    const rows = rowsOf(shape);
    const gain = floats([width]);
    const shift = floats([width]);
    const mean = floats([rows], 0.3);
    const inverse = exactly(
      float32(rows),
      Array.from({ length: rows }, (_, row) => 0.5 + (row % 3)),
    );
    const title = `(${shape.join(', ')})`;
    const dropout = [0, 0.1, 0.5][i % 3];
    const added = i % 2 === 1;
    // A row of one has no variance: its inverse is 1 / √ε, which only exact zeros survive; ε = 1 asks a fair question.
    const attributes = { epsilon: width === 1 ? 1 : epsilon };
    return [
      {
        operation: 'layerNorm',
        title,
        attributes,
        inputs: [floats(shape), gain, shift],
        bounds: ({ inputs: [x, gain, shift], outputs: [, mean, inverse] }) =>
          normBounds(x, gain, shift, mean, inverse, 0),
      },
      {
        operation: 'addNorm',
        title: `${title} dropout ${dropout}`,
        attributes: { ...attributes, dropout, stream: 0x10003 },
        inputs: [floats(shape), floats(shape), gain, shift, draw(i % 2 ? farRow : 3)],
        bounds({ inputs: [x, residual, gain, shift], outputs: [, sum, mean, inverse] }) {
          const extra = 3 * unitRoundoff * (most(x) / (1 - dropout) + most(residual));
          const [y, means, inverses] = normBounds(sum, gain, shift, mean, inverse, extra);
          return [y, extra, means, inverses];
        },
      },
      {
        operation: 'layerNormGradient',
        title,
        attributes: {},
        inputs: [floats(shape), floats(shape), gain, shift, mean, inverse],
        // Every term of dx carries at most 8 roundings and those of a mean over the row; x̂ comes within
        // 3u (|x| + |mean|) · inverse of its own, and y takes two roundings more.
        bounds({ inputs: [dy, x, gain, shift, mean, inverse] }) {
          const bound = new Float64Array(dy.length);
          const boundY = new Float64Array(dy.length);
          for (let row = 0; row < rows; row++) {
            let meanG = 0;
            let mostNormal = 0;
            for (let k = 0; k < width; k++) {
              meanG += Math.abs(dy[row * width + k] * gain[k]) / width;
              const size = (Math.abs(x[row * width + k]) + Math.abs(mean[row])) * inverse[row];
              mostNormal = Math.max(mostNormal, size);
              boundY[row * width + k] = gamma(5) * (size * Math.abs(gain[k]) + Math.abs(shift[k]));
            }
            for (let k = 0; k < width; k++) {
              const g = Math.abs(dy[row * width + k] * gain[k]);
              const terms = g + meanG + mostNormal * mostNormal * meanG;
              bound[row * width + k] = inverse[row] * gamma(width + 16) * terms;
            }
          }
          return [bound, boundY];
        },
      },
      {
        operation: 'layerNormParameterGradient',
        title: `${title}${added ? ' added' : ''}`,
        attributes: {},
        inputs: [
          floats(shape),
          floats(shape),
          mean,
          inverse,
          added ? floats([width]) : undefined,
          added ? floats([width]) : undefined,
        ],
        bounds({ inputs: [dy, x, mean, inverse, previousGain, previousShift] }) {
          const forGain = new Float64Array(width);
          const forShift = new Float64Array(width);
          for (let k = 0; k < width; k++) {
            forGain[k] = previousGain ? Math.abs(previousGain[k]) : 0;
            forShift[k] = previousShift ? Math.abs(previousShift[k]) : 0;
            for (let row = 0; row < rows; row++) {
              const size = (Math.abs(x[row * width + k]) + Math.abs(mean[row])) * inverse[row];
              forGain[k] += Math.abs(dy[row * width + k]) * size;
              forShift[k] += Math.abs(dy[row * width + k]);
            }
          }
          return [scaled(forGain, gamma(rows + 5)), scaled(forShift, gamma(rows + 1))];
        },
      },
    ];
  });
}

function elementwiseCases(): Case[] {
  const constant: Case = {
    operation: 'constant',
    title: '0.1',
    attributes: { value: 0.1 },
    inputs: [],
    bounds: linearBounds(1),
  };
  const others = [...awkwardSizes, 4097].flatMap((width, i): Case[] => {
    const shape = [3, width];
    return [
      {
        operation: 'dropout',
        title: `${width} at ${[0, 0.1, 0.5][i % 3]}`,
        attributes: { dropout: [0, 0.1, 0.5][i % 3], stream: 0x10001 },
        inputs: [floats(shape), draw(i % 4 === 3 ? farRow : i)],
        bounds: ({ outputs: [y] }) => [scaled(y, gamma(2))],
      },
      {
        operation: 'add',
        title: `${width}`,
        attributes: {},
        inputs: [floats(shape), floats(shape)],
        bounds: linearBounds(1),
      },
      {
        operation: 'scale',
        title: `${width}`,
        attributes: { factor: -0.3 },
        inputs: [floats(shape)],
        bounds: ({ outputs: [y] }) => [scaled(y, gamma(2))],
      },
    ];
  });
  return [constant, ...others];
}

function embedCases(): Case[] {
  return awkwardSizes.flatMap((width, i): Case[] => {
    const rows = 5;
    const places = sizes(i, 7);
    const pieces = 11;
    const positions = places + 2;
    const walls = lengths(rows, places, 1 + (i % 3));
    const seconds = secondsOf(walls);
    const ids = integers([rows, places], pieces);
    const added = i % 2 === 1;
    const title = `${rows}×${places}×${width}, ${1 + (i % 3)} segments a row`;
    return [
      {
        operation: 'embed',
        title,
        attributes: {},
        inputs: [ids, walls, seconds, floats([pieces, width]), floats([positions, width]), floats([2, width])],
        bounds: linearBounds(2),
      },
      {
        operation: 'embedGradient',
        title: `${title}${added ? ', added' : ''}`,
        attributes: { pieces, positions },
        inputs: [
          ids,
          walls,
          seconds,
          floats([rows, places, width]),
          added ? floats([pieces, width]) : undefined,
          i % 4 === 1 ? floats([positions, width]) : undefined,
          added ? floats([2, width]) : undefined,
        ],
        bounds: linearBounds(rows * places + 1),
      },
    ];
  });
}

function gatherCases(): Case[] {
  return awkwardSizes.flatMap((width, i): Case[] => {
    const rows = 4;
    const places = sizes(i, 5);
    const count = sizes(i, 7);
    // More places asked for than there are: some occur twice.
    const wanted = integers([rows, count], places);
    const title = `${rows}×${places}×${width} at ${count}`;
    const inUse = exactly(
      int32(rows),
      Array.from({ length: rows }, (_, row) => Math.min(count, row * 3)),
    );
    return [
      {
        operation: 'gatherRows',
        title,
        attributes: {},
        inputs: [floats([rows, places, width]), wanted],
        bounds: () => [0],
      },
      {
        operation: 'gatherIds',
        title,
        attributes: {},
        inputs: [integers([rows, places], 1000), wanted],
        bounds: () => [0],
      },
      {
        operation: 'scatterRows',
        title: `${title}${i % 2 ? ', added' : ''}`,
        attributes: { places },
        inputs: [floats([rows, count, width]), wanted, i % 2 ? floats([rows, places, width]) : undefined],
        bounds: linearBounds(count + 1),
      },
      {
        operation: 'replace',
        title,
        attributes: {},
        inputs: [integers([rows, places], 9), wanted, integers([rows, count], 9), inUse],
        bounds: () => [0, 0],
      },
    ];
  });
}

function attentionCases(): Case[] {
  const shapes = [
    [4, 1, 1, 3, 1],
    [2, 3, 2, 4, 1],
    [4, 5, 3, 5, 2],
    [4, 7, 1, 7, 1],
    [3, 8, 2, 8, 2],
    [4, 9, 2, 9, 3],
    [4, 15, 2, 16, 2],
    [4, 16, 4, 16, 1],
    [4, 17, 1, 17, 3],
    [4, 31, 2, 12, 2],
    [4, 33, 2, 31, 4],
    [2, 130, 1, 64, 1],
  ];
  return shapes.flatMap(([rows, places, heads, headWidth, segments], i): Case[] => {
    const shape = [rows, places, heads * headWidth];
    const dropout = [0, 0.1, 0.4][i % 3];
    const attributes = { heads, dropout, stream: 0x10007 };
    const walls = lengths(rows, places, segments);
    const q = floats(shape);
    const k = floats(shape);
    const v = floats(shape);
    const counters = draw(i % 2 ? farRow : 2);
    const inputs = [q, k, v, walls, counters];
    const title = `${rows}×${places}, ${heads} heads of ${headWidth}, ${segments} segments, dropout ${dropout}`;
    const [context, logSumExp] = reference('attention', inputs, attributes);
    const statistics = exactly(float32(rows, heads, places), [...logSumExp]);
    const dContext = floats(shape);
    return [
      {
        operation: 'attention',
        title,
        attributes,
        inputs,
        bounds: ({ inputs: [q, k, v, lengths, draw], products }) =>
          attentionErrors({ ...attributes, shape, lengths, draw }, { q, k, v }, products),
      },
      {
        operation: 'attentionGradient',
        title,
        attributes,
        inputs: [q, k, v, exactly(float32(...shape), [...context]), statistics, walls, counters, dContext],
        bounds: ({ inputs: [q, k, v, , , lengths, draw, dContext], products }) =>
          attentionGradientErrors({ ...attributes, shape, lengths, draw }, { q, k, v, dContext }, products),
      },
    ];
  });
}

function reference(name: string, inputs: Case['inputs'], attributes: Attributes): Values[] {
  return runReference({ operation: name, title: '', attributes, inputs, bounds: () => [] }, (values) => values);
}

/** The float64 reference on a case's float32 inputs, each passed through `change`. */
export function runReference(
  { operation, inputs, attributes }: Case,
  change: (values: Float64Array) => Float64Array,
): Values[] {
  const definition = operations.get(operation);
  if (!definition) throw new Error(`no operation ${operation}`);
  const inputTypes = inputs.map((input) => input?.type) as TensorType[];
  const outputTypes = definition.infer(inputTypes, attributes);
  const outputs = outputTypes.map(({ dtype, shape }) =>
    dtype === 'float32' ? new Float64Array(sizeOf(shape)) : new Int32Array(sizeOf(shape)),
  );
  definition.reference({
    inputs: inputs.map((input) => valuesOf(input, change)) as Values[],
    outputs,
    inputTypes,
    outputTypes,
    attributes,
  });
  return outputs;
}

export function valuesOf(
  input: CaseInput | undefined,
  change: (values: Float64Array) => Float64Array,
): Values | undefined {
  if (!input) return undefined;
  return input.values instanceof Int32Array ? input.values : change(Float64Array.from(input.values));
}

function lmHeadCases(): Case[] {
  const shapes = [
    ...awkwardSizes.map((pieces, i) => [3, sizes(i, 5), pieces, sizes(i, 7)]),
    [4, 6, 1003, 40],
    // More than a chunk of places, and slices of several blocks (src/engines/wasm/operations/maskedLmHead.ts).
    [4, 26, 1750, 300],
  ];
  return shapes.flatMap(([rows, places, pieces, width], i): Case[] => {
    const hidden = floats([rows, places, width]);
    const table = floats([pieces, width]);
    const bias = floats([pieces]);
    const targets = integers([rows, places], pieces);
    const counts = exactly(
      int32(rows),
      Array.from({ length: rows }, (_, row) => Math.max(0, places - row)),
    );
    const denominators = exactly(float32(2), [5, 9]);
    const temperature = i % 2 ? 0.7 : 1;
    const attributes = { temperature, disallowCorrect: i % 3 === 1, sample: i % 4 !== 3, stream: 4 };
    const title = `${rows}×${places}×${width}, ${pieces} pieces, ${JSON.stringify(attributes)}`;
    const inputs = [hidden, table, bias, targets, counts, denominators, draw(i % 2 ? farRow : 1)];
    const [, , logSumExp] = reference('maskedLmHead', inputs, attributes);
    const [logits] = reference('linear', [hidden, table, bias], { activation: 'none' });
    /** Of every logit, and the largest of each place. */
    const errorsOf = (products: ProductRounding) => {
      const ofLogits = Float64Array.from(logits, (_, i) => {
        const [at, id] = [Math.floor(i / pieces), i % pieces];
        let sum = 0;
        for (let k = 0; k < width; k++) sum += Math.abs(hidden.values[at * width + k] * table.values[id * width + k]);
        return productError(width + 2, products) * sum + gamma(width + 2) * Math.abs(bias.values[id]);
      });
      const ofPlaces = Float64Array.from(logSumExp, (_, at) => most(rowOf(ofLogits, at)));
      return { ofLogits, ofPlaces };
    };
    const rowOf = (values: Values, at: number) => values.subarray(at * pieces, (at + 1) * pieces);
    const isUsed = (at: number) => at % places < counts.values[Math.floor(at / places)];
    const previous = [hidden, table, bias].map(({ type: { shape } }) => (i % 2 ? floats([...shape]) : undefined));
    return [
      {
        operation: 'maskedLmHead',
        title,
        attributes,
        inputs,
        judged: [1, 3],
        bounds: ({ outputs: [loss, , logSumExp], products }) => {
          const { ofPlaces } = errorsOf(products);
          const ofStatistics = ofPlaces.map((error, at) =>
            isUsed(at) ? error + gamma(96) * (1 + Math.abs(logSumExp[at])) : 0,
          );
          const terms = ofPlaces.map((error, at) => (isUsed(at) ? error + ofStatistics[at] : 0));
          const sum = terms.reduce((a, b) => a + b, 0);
          return [sum / 5 + (places * rows + 2) * unitRoundoff * Math.abs(loss[0]), 0, ofStatistics, 0];
        },
        // Decisions may differ where the two best are closer than they can be told apart: by the errors of two logits,
        // for a sample over the temperature and with 16 u of each score (noise is at most 21 in size).
        accepts([, sampled, , hits], [, expected], products) {
          const { ofPlaces } = errorsOf(products);
          let right = 0;
          let [leastBest, mostBest] = [0, 0];
          for (let at = 0; at < sampled.length; at++) {
            const scoreError = (2 * ofPlaces[at]) / temperature + gamma(32) * (21 + most(logits) / temperature);
            if (sampled[at] < 0 || sampled[at] >= pieces) return `sample ${sampled[at]} at ${at}`;
            if (isUsed(at)) {
              const others = rowOf(logits, at).filter((_, id) => id !== targets.values[at]);
              const lead = logits[at * pieces + targets.values[at]] - Math.max(...others);
              if (lead > 2 * ofPlaces[at]) leastBest++;
              if (lead >= -2 * ofPlaces[at]) mostBest++;
              if (attributes.sample && sampled[at] === targets.values[at]) right++;
            }
            if (sampled[at] === expected[at]) continue;
            const gap =
              scoreOf(attributes, logits, targets.values, places, at, expected[at]) -
              scoreOf(attributes, logits, targets.values, places, at, sampled[at]);
            if (!isUsed(at) || !(gap <= scoreError)) return `sample ${sampled[at]} at ${at}, not ${expected[at]}`;
          }
          if (!(hits[0] >= leastBest && hits[0] <= mostBest)) {
            return `${hits[0]} best guesses right, not ${leastBest} to ${mostBest}`;
          }
          if (hits[1] !== right) return `${hits[1]} samples right, not ${right}`;
          return hits[2] === 0 ? undefined : `${hits[2]} rows that are not finite`;
        },
      },
      {
        operation: 'maskedLmHeadGradient',
        title,
        attributes: {},
        inputs: [
          ...[hidden, table, bias],
          exactly(float32(rows, places), [...logSumExp]),
          ...[targets, counts, denominators],
          exactly(float32(), [0.7]),
          ...previous,
        ],
        // A probability is within the factor e^(error of its logit + 2 u (|logit| + |logSumExp|) + 16 u) of exact, and at
        // most 1. What that does to a gradient goes through the sums as it is.
        bounds: ({ inputs: [, , , logSumExp], products }) => {
          const { ofLogits } = errorsOf(products);
          const errors = [rows * places * width, pieces * width, pieces].map((size) => new Float64Array(size));
          const [ofHidden, ofTable, ofBias] = errors;
          for (const [i, logit] of logits.entries()) {
            const [at, id] = [Math.floor(i / pieces), i % pieces];
            if (!isUsed(at)) continue;
            const probability = Math.exp(logit - logSumExp[at]);
            const ofExponent = ofLogits[i] + 2 * unitRoundoff * (Math.abs(logit) + Math.abs(logSumExp[at])) + gamma(16);
            const isTarget = id === targets.values[at] ? 1 : 0;
            const size = (0.7 / 5) * Math.abs(probability - isTarget);
            const error = (0.7 / 5) * (probability * Math.expm1(ofExponent) + gamma(4) * (probability + isTarget));
            ofBias[id] += error + sumError(rows * places + 2, products) * (size + error);
            for (let k = 0; k < width; k++) {
              const [from, to] = [at * width + k, id * width + k];
              const [h, t] = [Math.abs(hidden.values[from]), Math.abs(table.values[to])];
              ofHidden[from] += t * (error + productError(pieces + 2, products) * (size + error));
              ofTable[to] += h * (error + productError(rows * places + 2, products) * (size + error));
            }
          }
          return errors.map((ofSum, i) => {
            const begun = previous[i]?.values;
            return begun ? ofSum.map((error, at) => error + gamma(rows * places + 40) * Math.abs(begun[at])) : ofSum;
          });
        },
      },
    ];
  });
}

/** The perturbed score that an id had, in float64. */
function scoreOf(
  attributes: { temperature: number; disallowCorrect: boolean; stream: number },
  logits: Values,
  targets: ArrayLike<number>,
  places: number,
  at: number,
  id: number,
): number {
  const pieces = logits.length / targets.length;
  const word = new Uint32Array(1);
  const index = (places + at) * pieces + id;
  drawWords(word, { low: 0x12345678, high: 0x1234567 }, attributes.stream, 77, index);
  const noise = -Math.log(-Math.log(uniformOfWord(word[0]) + 1e-9) + 1e-9);
  const banned = attributes.disallowCorrect && id === targets[at] ? 1000 : 0;
  return logits[at * pieces + id] / attributes.temperature - banned + noise;
}

function binaryCases(): Case[] {
  return awkwardSizes.flatMap((places, i): Case[] => {
    const rows = 5;
    const inputs = [
      floats([rows, places, 1], 6),
      integers([rows, places], 2),
      lengths(rows, places, 1 + (i % 2)),
      exactly(float32(2), [5, 9]),
    ];
    const title = `${rows}×${places}, ${1 + (i % 2)} segments`;
    return [
      {
        operation: 'binaryCrossEntropy',
        title,
        attributes: {},
        inputs,
        // Each term is a maximum, a product and two functions of values below |x| + 1.
        bounds: ({ inputs: [logits] }) => [
          (gamma(24) * [...logits].reduce((sum, x) => sum + Math.abs(x) + 1, 0)) / 9,
          0,
        ],
      },
      {
        operation: 'binaryCrossEntropyGradient',
        title,
        attributes: {},
        inputs: [...inputs, exactly(float32(), [50])],
        bounds: ({ outputs: [dLogits] }) => [scaled(dLogits, gamma(32))],
      },
    ];
  });
}

/** Values that nobody may read: the reference gives no number for one that does. */
function unread(input: CaseInput, isRead: (i: number) => boolean): CaseInput {
  return { ...input, values: (input.values as Float32Array).map((value, i) => (isRead(i) ? value : Number.NaN)) };
}

function choiceCases(): Case[] {
  return awkwardSizes.flatMap((columns, i): Case[] => {
    const rows = sizes(i, 5);
    const walls = i % 2 ? lengths(rows, columns, 1 + (i % 3)) : undefined;
    const allowed = i % 3 === 1 ? integers([rows, columns], 3) : undefined;
    const weights = i % 4 < 2 ? exactly(float32(rows), [...numbers.floats(rows)].map(Math.abs)) : undefined;
    const labels = integers([rows], columns);
    const isOpen = openColumns(walls?.values, allowed?.values, rows, columns);
    const logits = unread(floats(i % 2 ? [rows, columns, 1] : [rows, columns], 4), (at) => isOpen[at]);
    const inputs = [logits, labels, walls, allowed, weights, exactly(float32(), [5])];
    const title = `${rows}×${columns}${walls ? ', walls' : ''}${allowed ? ', mask' : ''}${weights ? ', weights' : ''}`;
    const [, logSumExp] = reference('softmaxCrossEntropy', inputs, {});
    const largest = most((logits.values as Float32Array).filter((_, at) => isOpen[at]));
    const heaviest = weights ? most(weights.values) : 1;
    return [
      {
        operation: 'softmaxCrossEntropy',
        title,
        attributes: {},
        inputs,
        // An exponent is a difference of two logits, within 2 u of the largest; a term is within 8 u and that of exact,
        // their sum within γ(C) more, and its logarithm within 8 u of itself.
        bounds({ outputs: [loss, logSumExp] }) {
          const ofTotal = gamma(columns + 16) + unitRoundoff * (2 * largest + 8 * Math.log(columns));
          const ofTerms = heaviest * rows * (ofTotal + 4 * unitRoundoff * (2 * largest + Math.log(columns)));
          return [
            ofTerms / 5 + gamma(rows + 4) * Math.abs(loss[0]),
            logSumExp.map((value) => ofTotal + 2 * unitRoundoff * (Math.abs(value) + largest)) as Float64Array,
          ];
        },
      },
      {
        operation: 'softmaxCrossEntropyGradient',
        title,
        attributes: {},
        inputs: [...inputs, exactly(float32(rows), [...logSumExp]), exactly(float32(), [0.7])],
        // A probability is at most 1 and within 2 u (|logit| + |logSumExp|) + 16 u of exact.
        bounds: ({ inputs: [, , , , , , logSumExp] }) => [
          (0.7 / 5) * heaviest * (gamma(24) + 2 * unitRoundoff * (largest + most(logSumExp))),
        ],
      },
    ];
  });
}

function regressionCases(): Case[] {
  return awkwardSizes.flatMap((rows, i): Case[] => {
    const weights = i % 2 ? exactly(float32(rows), [...numbers.floats(rows)].map(Math.abs)) : undefined;
    const inputs = [floats([rows, 1], 3), floats([rows], 3), weights, exactly(float32(), [7])];
    const title = `${rows}${weights ? ', weights' : ''}`;
    return [
      {
        operation: 'meanSquaredError',
        title,
        attributes: {},
        inputs,
        // A difference is within u of itself, so its square within 3 u; no term is negative.
        bounds: ({ outputs: [loss] }) => [scaled(loss, gamma(rows + 8))],
      },
      {
        operation: 'meanSquaredErrorGradient',
        title,
        attributes: {},
        inputs: [...inputs, exactly(float32(), [0.7])],
        bounds: ({ outputs: [dPredictions] }) => [scaled(dPredictions, gamma(8))],
      },
    ];
  });
}

function partCases(): Case[] {
  return awkwardSizes.flatMap((width, i): Case[] => {
    const rows = 5;
    const places = sizes(i, 7);
    const walls = lengths(rows, places, 1 + (i % 3));
    const hasTokens = (row: number) => row % 4 !== 3;
    const title = `${rows}×${places}×${width}`;
    const widths = [width, sizes(i, 5), sizes(i, 7)].slice(0, 1 + (i % 3));
    const total = widths.reduce((sum, own) => sum + own, 0);
    return [
      {
        operation: 'firstToken',
        title,
        attributes: {},
        inputs: [
          unread(floats([rows, places, width]), (at) => {
            const place = Math.floor(at / width);
            return place % places === 0 && hasTokens(Math.floor(place / places));
          }),
          walls,
        ],
        bounds: () => [0],
      },
      {
        operation: 'firstTokenGradient',
        title: `${title}${i % 2 ? ', added' : ''}`,
        attributes: { places },
        inputs: [
          unread(floats([rows, width]), (at) => hasTokens(Math.floor(at / width))),
          walls,
          i % 2 ? floats([rows, places, width]) : undefined,
        ],
        bounds: linearBounds(1),
      },
      {
        operation: 'concatenate',
        title: `${places}×(${widths.join(' + ')})`,
        attributes: {},
        inputs: widths.map((own) => floats([2, places, own])),
        bounds: () => [0],
      },
      {
        operation: 'concatenateGradient',
        title: `${places}×${total}`,
        attributes: { from: total - widths[widths.length - 1], width: widths[widths.length - 1] },
        inputs: [floats([2, places, total])],
        bounds: () => [0],
      },
    ];
  });
}

function optimizerCases(): Case[] {
  const norms: Case[] = [1, 3, 12].map((count) => ({
    operation: 'globalNorm',
    title: `of ${count}`,
    attributes: {},
    inputs: Array.from({ length: count }, (_, i) => floats([i % 2 ? 3 : 1, i === 2 ? 9000 : sizes(i, 5)])),
    // Squares and sums are exact to far less than a float32; the root and its rounding remain.
    bounds: ({ outputs: [norm] }) => [scaled(norm, gamma(2))],
  }));
  const clips: Case[] = [0.3, 1, 17.5, Number.NaN, Number.POSITIVE_INFINITY].map((norm) => ({
    operation: 'clip',
    title: `${norm}`,
    attributes: { maxNorm: 1 },
    inputs: [exactly(float32(), [norm])],
    bounds: ({ outputs: [factor] }) => [scaled(factor, gamma(2))],
  }));
  const updates = [...awkwardSizes, 4099].map((size, i): Case => {
    const attributes = {
      beta1: 0.9,
      beta2: i % 2 ? 0.999 : 0.99,
      epsilon: 1e-6,
      epsilonInRoot: i % 4 === 3,
      weightDecay: i % 3 === 0 ? 0 : 0.01,
      rateFactor: i % 5 === 0 ? 0.8 : 1,
      biasCorrection: i % 2 === 0,
    };
    const v = floats([size]);
    return {
      operation: 'adamW',
      title: `${size}, ${JSON.stringify(attributes)}`,
      attributes,
      inputs: [
        floats([size]),
        floats([size], 0.1),
        exactly(
          float32(size),
          Array.from(v.values, (value) => value * value * 0.01),
        ),
        floats([size]),
        exactly(float32(), [i === 7 ? Number.NaN : 0.37]),
        exactly(float32(), [0.01]),
        draw(0),
      ],
      // m and v are sums of two products. The step divides by a root that is within half of v's error, 6 roundings
      // more; the parameter itself is rounded once.
      bounds({ inputs: [parameter, m, v, gradient, factor, rate], outputs: [, newM, newV] }) {
        const g = Number.isNaN(factor[0]) ? 0 : Math.abs(factor[0]);
        const forM = newM.map((_, k) => gamma(4) * (0.9 * Math.abs(m[k]) + 0.1 * g * Math.abs(gradient[k])));
        const forV = newV.map((_, k) => gamma(6) * newV[k] + 0 * v[k]);
        const t = 78;
        const c1 = attributes.biasCorrection ? 1 / (1 - attributes.beta1 ** t) : 1;
        const c2 = attributes.biasCorrection ? 1 / (1 - attributes.beta2 ** t) : 1;
        const forParameter = parameter.map((p, k) => {
          const root = attributes.epsilonInRoot
            ? Math.sqrt(c2 * newV[k] + attributes.epsilon)
            : Math.sqrt(c2 * newV[k]) + attributes.epsilon;
          const direction = (c1 * (forM[k] + gamma(12) * Math.abs(newM[k]))) / root;
          const decay = gamma(6) * attributes.weightDecay * Math.abs(p);
          return unitRoundoff * Math.abs(p) + rate[0] * (direction + decay) + gamma(2) * rate[0] * Math.abs(p);
        });
        return [forParameter, forM, forV] as Float64Array[];
      },
    };
  });
  return [...norms, ...clips, ...updates];
}

/** All cases, in the order of src/ops/index.ts as far as it goes. */
export function conformanceCases(): Case[] {
  return [
    ...embedCases(),
    ...linearCases(),
    ...activationCases(),
    ...normCases(),
    ...elementwiseCases(),
    ...attentionCases(),
    ...gatherCases(),
    ...lmHeadCases(),
    ...binaryCases(),
    ...choiceCases(),
    ...regressionCases(),
    ...partCases(),
    ...optimizerCases(),
  ];
}
