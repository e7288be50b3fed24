/**
 * The draws of src/random/streams.ts inside the graph: Philox4x32-10 at the counters of every other engine, so the very
 * words that they draw.
 *
 * Written out in 64-bit integer operations for XLA, which makes SIMD loops of them: 9.3 M words take 5.9 ms where
 * TensorFlow's own stateless kernel takes 21 (two Zen 4 cores, November 2026). The words are the same.
 * Source: Salmon et al. 2011; src/random/philox.ts is the twin.
 */
import { dropoutThreshold } from '../../ops/dropout.js';
import { sizeOf } from '../../ops/operation.js';
import type { Graph, Wire } from './graph.js';
import type { Nodes } from './nodes.js';

/** What is drawn for: a draw for every element of a tensor (B, …), rows counted over the whole batch. */
export interface DrawSite {
  /** int32 [4]: seed low, seed high, step, first row. */
  readonly draw: Wire;
  readonly stream: number;
  readonly shape: readonly number[];
}

/** uint32 words, as many as the site has elements; `uniform` makes floats of them. */
export function words(graph: Graph, site: DrawSite, shape: readonly number[]): Wire {
  return drawn(graph, site, shape, 'uint32', 4);
}

/** In a block: words as float32 in [0, 1), the low 23 bits of each. */
export function uniform(nodes: Nodes, words: Wire): Wire {
  const mantissa = nodes.bitwiseAnd(words, nodes.unsigned(0x7fffff));
  return nodes.sub(nodes.bitcast(nodes.bitwiseOr(mantissa, nodes.unsigned(0x3f800000)), 'float32'), nodes.float(1));
}

/** Dropout on its way into a block: `inputs` are among what the block is given, `name` is part of its name. */
export interface Dropping {
  readonly inputs: readonly Wire[];
  readonly name: string;
  /** In the body: x with some elements 0 and the others scaled; `inputs` as the body has them. */
  apply(nodes: Nodes, x: Wire, inputs: readonly Wire[]): Wire;
}

/** Of a tensor that the block has in `shape`, which folds axes of the site's. Without dropout, nothing is drawn. */
export function dropping(graph: Graph, site: DrawSite, dropout: number, shape: readonly number[]): Dropping {
  const threshold = dropoutThreshold(dropout);
  if (threshold === 0) return { inputs: [], name: '', apply: (_nodes, x) => x };
  return {
    inputs: [drawn(graph, site, shape, 'uint16', 8)],
    name: `dropout_${threshold}`,
    apply(nodes, x, [bits]) {
      const isKept = nodes.greaterEqual(nodes.cast(bits, 'int32'), nodes.int(threshold));
      return nodes.mul(x, nodes.select(isKept, nodes.float(65536 / (65536 - threshold)), nodes.float(0)));
    },
  };
}

/** XLA's loop over an odd number of blocks takes six times as long as over an even one. */
const blockMultiple = 16;

/**
 * The words of one value of the counter are `perBlock` draws. A few values more than needed are taken, and where a row is
 * no multiple of `perBlock`, a micro-batch may begin inside one; what is not asked for is cut off, in place when it begins
 * at the first draw.
 */
function drawn(
  graph: Graph,
  { draw, stream, shape: [rows, ...rest] }: DrawSite,
  shape: readonly number[],
  dtype: 'uint16' | 'uint32',
  perBlock: number,
): Wire {
  const rowSize = sizeOf(rest);
  const count = rows * rowSize;
  const needed = Math.ceil((rowSize % perBlock === 0 ? count : count + perBlock - 1) / perBlock);
  const blocks = Math.ceil(needed / blockMultiple) * blockMultiple;
  const [pairs, skipped] = graph.block(
    ['philox', blocks, rowSize, perBlock],
    [draw, graph.int(stream)],
    (nodes, [draw, stream]) => {
      const part = (i: number) => nodes.reshape(nodes.slice(draw, nodes.ints([i]), [1]), []);
      const [low, high, step, firstRow] = [0, 1, 2, 3].map((i) => unsigned(nodes, part(i)));
      const first = nodes.mul(firstRow, long(nodes, rowSize));
      const start = nodes.rightShift(first, long(nodes, Math.log2(perBlock)));
      const block = nodes.add(start, nodes.cast(nodes.range(blocks), 'uint64'));
      const [a, b, c, d] = philox(nodes, block, step, unsigned(nodes, stream), low, high);
      const skipped = nodes.cast(nodes.bitwiseAnd(first, long(nodes, perBlock - 1)), 'int32');
      // (blocks, 2) of 64 bits: four words in a row on a little-endian machine.
      return [nodes.pack([pair(nodes, a, b), pair(nodes, c, d)], 1), nodes.reshape(skipped, [1])];
    },
  );
  const all = graph.reshape(graph.bitcast(pairs, dtype), [blocks * perBlock]);
  if (count === blocks * perBlock) return graph.reshape(all, shape);
  return graph.reshape(graph.slice(all, skipped, [count]), shape);
}

/** The four words of every block, each in the low half of 64 bits. */
function philox(nodes: Nodes, block: Wire, step: Wire, stream: Wire, keyLow: Wire, keyHigh: Wire): Wire[] {
  const lowOf = (x: Wire) => nodes.bitwiseAnd(x, long(nodes, 0xffffffff));
  const highOf = (x: Wire) => nodes.rightShift(x, long(nodes, 32));
  let [a, b, c, d] = [lowOf(block), highOf(block), step, stream];
  let [k, l] = [keyLow, keyHigh];
  for (let round = 0; round < 10; round++) {
    const first = nodes.mul(a, long(nodes, 0xd2511f53));
    const second = nodes.mul(c, long(nodes, 0xcd9e8d57));
    [a, b] = [nodes.bitwiseXor(nodes.bitwiseXor(highOf(second), b), k), lowOf(second)];
    [c, d] = [nodes.bitwiseXor(nodes.bitwiseXor(highOf(first), d), l), lowOf(first)];
    k = lowOf(nodes.add(k, long(nodes, 0x9e3779b9)));
    l = lowOf(nodes.add(l, long(nodes, 0xbb67ae85)));
  }
  return [a, b, c, d];
}

function pair(nodes: Nodes, low: Wire, high: Wire): Wire {
  return nodes.bitwiseOr(low, nodes.leftShift(high, long(nodes, 32)));
}

/** int32 as the same 32 bits without a sign, in 64. */
function unsigned(nodes: Nodes, x: Wire): Wire {
  return nodes.cast(nodes.bitcast(x, 'uint32'), 'uint64');
}

function long(nodes: Nodes, value: number): Wire {
  return nodes.constant('uint64', [], BigUint64Array.of(BigInt(value)));
}
