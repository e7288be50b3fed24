/**
 * The draws of src/random/streams.ts by TensorFlow's stateless Philox kernels: the very words that every other engine
 * draws. A kernel's counter goes up by one for every four words, from (low 64 bits, high 64 bits) = (block, stream and
 * step); where a micro-batch begins inside a block, a few words too many are drawn and cut off.
 */
import { host, type Wire } from './graph.js';
import type { Nodes } from './nodes.js';

/** What is drawn for a tensor (rows, …), rows counted over the whole batch. */
export interface DrawSite {
  /** int32 [4]: seed low, seed high, step, first row. */
  readonly draw: Wire;
  readonly stream: number;
  readonly rows: number;
  /** Draws or decisions a row. */
  readonly rowSize: number;
}

/** 16 bits a decision, uint16 (rows · rowSize). */
export function decisions(nodes: Nodes, site: DrawSite): Wire {
  return drawn(nodes, site, 8, (count, key, counter) => {
    const words = nodes.philox('words', Math.ceil(count / 2), key, counter);
    return nodes.reshape(nodes.bitcast(words, 'uint16'), [-1]);
  });
}

/** float32 (rows · rowSize) in [0, 1). */
export function uniforms(nodes: Nodes, site: DrawSite): Wire {
  return drawn(nodes, site, 4, (count, key, counter) => nodes.philox('floats', count, key, counter));
}

/** `make` gives at least `count` draws from the block of `perBlock` in which the first row's first one lies. */
function drawn(
  nodes: Nodes,
  { draw, stream, rows, rowSize }: DrawSite,
  perBlock: number,
  make: (count: number, key: Wire, counter: Wire) => Wire,
): Wire {
  const count = rows * rowSize;
  const part = (i: number) => nodes.slice(draw, nodes.ints([i]), [1]);
  const { key, counter, skipped } = nodes.on(host, () => {
    const firstRow = nodes.cast(nodes.bitcast(part(3), 'uint32'), 'int64');
    const first = nodes.mul(firstRow, nodes.long(rowSize));
    const block = nodes.rightShift(first, nodes.long(Math.log2(perBlock)));
    const words = nodes.concat([nodes.reshape(nodes.bitcast(block, 'int32'), [2]), part(2), nodes.ints([stream])], 0);
    return {
      key: nodes.bitcast(nodes.reshape(nodes.slice(draw, nodes.ints([0]), [2]), [1, 2]), 'uint64'),
      counter: nodes.bitcast(nodes.reshape(words, [2, 2]), 'uint64'),
      skipped: nodes.cast(nodes.bitwiseAnd(first, nodes.long(perBlock - 1)), 'int32'),
    };
  });
  const beginsBlock = rowSize % perBlock === 0;
  const all = make(beginsBlock ? count : count + perBlock - 1, key, counter);
  return beginsBlock ? all : nodes.slice(all, skipped, [count]);
}

/** In a block: what decisions multiply by, 0 or 65536 / (65536 − threshold). */
export function keepFactors(nodes: Nodes, bits: Wire, threshold: number): Wire {
  const isKept = nodes.greaterEqual(nodes.cast(bits, 'int32'), nodes.int(threshold));
  return nodes.select(isKept, nodes.float(65536 / (65536 - threshold)), nodes.float(0));
}
