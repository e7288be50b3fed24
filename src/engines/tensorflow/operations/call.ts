/** What the emitter of an operation gets, and the two things that most of them do: products, and naming a block. */
import type { Attributes, TensorType } from '../../../ops/operation.js';
import type { Graph, Wire } from '../graph.js';

export interface EmitCall<A extends Attributes = Attributes> {
  readonly graph: Graph;
  /** Inputs that may be absent are undefined, as in src/ops. */
  readonly inputs: readonly Wire[];
  readonly inputTypes: readonly TensorType[];
  readonly outputTypes: readonly TensorType[];
  readonly attributes: A;
  /** What matrix products are computed in; their results are float32. */
  readonly precision: 'float32' | 'bfloat16';
}

/** One wire an output, of its shape. */
export type Emit<A extends Attributes = Attributes> = (call: EmitCall<A>) => Wire[];

/** Product of two matrices. */
export function product(
  { graph, precision }: Pick<EmitCall, 'graph' | 'precision'>,
  a: Wire,
  b: Wire,
  transposes: { a?: boolean; b?: boolean },
): Wire {
  const [x, y] = [graph.cast(a, precision), graph.cast(b, precision)];
  return graph.cast(graph.matMul(x, y, transposes), 'float32');
}

/** Products of the last two axes, for every index of the others. */
export function batchProduct(
  { graph, precision }: Pick<EmitCall, 'graph' | 'precision'>,
  a: Wire,
  b: Wire,
  transposes: { a?: boolean; b?: boolean },
): Wire {
  const [x, y] = [graph.cast(a, precision), graph.cast(b, precision)];
  return graph.cast(graph.batchMatMul(x, y, transposes), 'float32');
}

/** A name of a function for what its body depends on; numbers may have points, signs and exponents. */
export function blockName(...parts: readonly (string | number | boolean)[]): string {
  return parts.map((part) => String(part).replace(/[^\w]/g, (sign) => `_${sign.charCodeAt(0)}_`)).join('_');
}
