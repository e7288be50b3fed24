/** What the emitter of an operation gets, and what most of them do: products, and sums with what is there already. */
import type { Attributes, TensorType } from '../../../ops/operation.js';
import type { Graph, Wire } from '../graph.js';
import type { Nodes } from '../nodes.js';

export interface EmitCall<A extends Attributes = Attributes> {
  readonly graph: Graph;
  /**
   * Inputs that may be absent are undefined, as in src/ops. With bfloat16 products, what a product gave is bfloat16, and
   * so may be what only products read.
   */
  readonly inputs: readonly Wire[];
  readonly inputTypes: readonly TensorType[];
  readonly outputTypes: readonly TensorType[];
  readonly attributes: A;
  /** What matrix products are computed in. */
  readonly precision: 'float32' | 'bfloat16';
  /** Outputs that nobody reads but products: they may be rounded to `precision` where they are made. */
  readonly isOperand: readonly boolean[];
}

/** One wire an output, of its shape. */
export type Emit<A extends Attributes = Attributes> = (call: EmitCall<A>) => Wire[];

type Products = Pick<EmitCall, 'graph' | 'precision'>;

/** Product of two matrices. */
export function product({ graph, precision }: Products, a: Wire, b: Wire, transposes: Transposes): Wire {
  return graph.matMul(graph.cast(a, precision), graph.cast(b, precision), transposes);
}

/** Products of the last two axes, for every index of the others. */
export function batchProduct({ graph, precision }: Products, a: Wire, b: Wire, transposes: Transposes): Wire {
  return graph.batchMatMul(graph.cast(a, precision), graph.cast(b, precision), transposes);
}

export interface Transposes {
  readonly a?: boolean;
  readonly b?: boolean;
}

/** In a block: an output as who reads it wants it. */
export function rounded(nodes: Nodes, x: Wire, { precision, isOperand }: EmitCall, output: number): Wire {
  return isOperand[output] ? nodes.cast(x, precision) : x;
}

/**
 * x + y in float32; x alone where there is no y. A sum of a sum is one block over all terms: the node of the sum that it
 * goes on from is not run if nobody else wants it.
 */
export function plus(graph: Graph, x: Wire, y: Wire | undefined): Wire {
  if (y === undefined) return x;
  const terms = [y, x].flatMap((wire) => wire.terms ?? [wire]);
  return { ...sumOf(graph, terms), terms };
}

function sumOf(graph: Graph, terms: readonly Wire[]): Wire {
  // One node does it, which XLA need not compile.
  if (terms.length === 2 && terms.every(({ dtype }) => dtype === 'float32')) return graph.add(terms[0], terms[1]);
  return graph.block(['sum', terms.length], terms, (nodes, terms) => [
    terms.reduce((sum, term) => nodes.add(sum, term)),
  ])[0];
}
