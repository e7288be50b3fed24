/**
 * The TensorFlow operations that we write, one method each: inputs in, one wire out, with the attributes that the
 * operation demands. The same for a graph and for the body of a function.
 *
 * Equal calls give one node: what a gradient computes again (probabilities, dropout's bits, a weight in bfloat16) is
 * what the forward pass has.
 */
import type { Attributes, DataType, Wire } from './graph.js';

export interface NodeOptions {
  /** Last part of its name; the operation by default. */
  readonly name?: string;
  /** Nodes that must have run before. */
  readonly after?: readonly Wire[];
  readonly device?: string;
}

export abstract class Nodes {
  readonly #known = new Map<string, Wire>();
  /** Where nodes are placed; '' leaves it to TensorFlow. */
  #device = '';

  /** Adds a node and returns how its first output is named. */
  protected abstract append(
    op: string,
    inputs: readonly Wire[],
    output: string,
    attributes: Attributes,
    options: NodeOptions,
  ): string;

  /** Nodes that `body` adds are placed on a device. */
  on<T>(device: string, body: () => T): T {
    const outer = this.#device;
    this.#device = device;
    try {
      return body();
    } finally {
      this.#device = outer;
    }
  }

  /** The node of an operation without effects: the one that is there already, if any. `output` is its output's name. */
  node(op: string, inputs: readonly Wire[], dtype: DataType, output: string, attributes: Attributes): Wire {
    const key = `${op} ${inputs.map(({ ref }) => ref)} ${JSON.stringify(attributes, bytesAsText)} ${this.#device}`;
    const known = this.#known.get(key) ?? this.effect(op, inputs, dtype, output, attributes);
    this.#known.set(key, known);
    return known;
  }

  /** A node of its own: a state, an effect, or what must run in an order. */
  effect(
    op: string,
    inputs: readonly Wire[],
    dtype: DataType,
    output: string,
    attributes: Attributes,
    options: NodeOptions = {},
  ): Wire {
    return { ref: this.append(op, inputs, output, attributes, { device: this.#device, ...options }), dtype };
  }

  constant(dtype: DataType, shape: readonly number[], values: ArrayBufferView): Wire {
    const tensor = { dtype, shape, bytes: new Uint8Array(values.buffer) };
    return this.node('Const', [], dtype, 'output', { dtype: { type: dtype }, value: { tensor } });
  }

  float(value: number): Wire {
    return this.constant('float32', [], Float32Array.of(value));
  }

  double(value: number): Wire {
    return this.constant('float64', [], Float64Array.of(value));
  }

  int(value: number): Wire {
    return this.constant('int32', [], Int32Array.of(value));
  }

  unsigned(value: number): Wire {
    return this.constant('uint32', [], Uint32Array.of(value));
  }

  ints(values: readonly number[]): Wire {
    return this.constant('int32', [values.length], Int32Array.from(values));
  }

  add = (a: Wire, b: Wire) => this.#binary('AddV2', a, b);
  sub = (a: Wire, b: Wire) => this.#binary('Sub', a, b);
  mul = (a: Wire, b: Wire) => this.#binary('Mul', a, b);
  div = (a: Wire, b: Wire) => this.#binary('RealDiv', a, b);
  pow = (a: Wire, b: Wire) => this.#binary('Pow', a, b);
  maximum = (a: Wire, b: Wire) => this.#binary('Maximum', a, b);
  bitwiseAnd = (a: Wire, b: Wire) => this.#binary('BitwiseAnd', a, b);
  bitwiseOr = (a: Wire, b: Wire) => this.#binary('BitwiseOr', a, b);
  bitwiseXor = (a: Wire, b: Wire) => this.#binary('BitwiseXor', a, b);
  leftShift = (a: Wire, b: Wire) => this.#binary('LeftShift', a, b);
  rightShift = (a: Wire, b: Wire) => this.#binary('RightShift', a, b);

  abs = (x: Wire) => this.#unary('Abs', x);
  neg = (x: Wire) => this.#unary('Neg', x);
  exp = (x: Wire) => this.#unary('Exp', x);
  log = (x: Wire) => this.#unary('Log', x);
  log1p = (x: Wire) => this.#unary('Log1p', x);
  sqrt = (x: Wire) => this.#unary('Sqrt', x);
  square = (x: Wire) => this.#unary('Square', x);
  erf = (x: Wire) => this.#unary('Erf', x);
  tanh = (x: Wire) => this.#unary('Tanh', x);
  deepCopy = (x: Wire) => this.#unary('DeepCopy', x);

  less = (a: Wire, b: Wire) => this.#binary('Less', a, b, 'bool');
  greater = (a: Wire, b: Wire) => this.#binary('Greater', a, b, 'bool');
  greaterEqual = (a: Wire, b: Wire) => this.#binary('GreaterEqual', a, b, 'bool');
  equal = (a: Wire, b: Wire) => this.#binary('Equal', a, b, 'bool');
  notEqual = (a: Wire, b: Wire) => this.#binary('NotEqual', a, b, 'bool');
  isFinite = (x: Wire) => this.#unary('IsFinite', x, 'bool');
  isNan = (x: Wire) => this.#unary('IsNan', x, 'bool');

  and(a: Wire, b: Wire): Wire {
    return this.node('LogicalAnd', [a, b], 'bool', 'z', {});
  }

  not(a: Wire): Wire {
    return this.node('LogicalNot', [a], 'bool', 'y', {});
  }

  /** condition ? a : b, element by element; all three broadcast. */
  select(condition: Wire, a: Wire, b: Wire): Wire {
    return this.node('SelectV2', [condition, a, b], a.dtype, 'output', { T: { type: a.dtype } });
  }

  cast(x: Wire, dtype: DataType): Wire {
    if (x.dtype === dtype) return x;
    return this.node('Cast', [x], dtype, 'y', { SrcT: { type: x.dtype }, DstT: { type: dtype } });
  }

  identity(x: Wire): Wire {
    return this.node('Identity', [x], x.dtype, 'output', { T: { type: x.dtype } });
  }

  /** The same bits; the last axis appears or vanishes with the ratio of the two sizes. */
  bitcast(x: Wire, dtype: DataType): Wire {
    return this.node('Bitcast', [x], dtype, 'output', { T: { type: x.dtype }, type: { type: dtype } });
  }

  sum = (x: Wire, axes: readonly number[], keepsAxes = false) => this.#reduction('Sum', x, axes, keepsAxes);
  mean = (x: Wire, axes: readonly number[], keepsAxes = false) => this.#reduction('Mean', x, axes, keepsAxes);
  max = (x: Wire, axes: readonly number[], keepsAxes = false) => this.#reduction('Max', x, axes, keepsAxes);
  min = (x: Wire, axes: readonly number[], keepsAxes = false) => this.#reduction('Min', x, axes, keepsAxes);

  /** Running sums along an axis. */
  cumsum(x: Wire, axis: number): Wire {
    return this.node('Cumsum', [x, this.int(axis)], x.dtype, 'out', { T: { type: x.dtype }, Tidx: { type: 'int32' } });
  }

  /** A wire that is known to have the shape is that wire. */
  reshape(x: Wire, shape: readonly number[]): Wire {
    if (x.shape?.length === shape.length && shape.every((extent, axis) => extent === x.shape?.[axis])) return x;
    const attributes = { T: { type: x.dtype }, Tshape: { type: 'int32' } } as const;
    return { ...this.node('Reshape', [x, this.ints(shape)], x.dtype, 'output', attributes), shape };
  }

  expandDims(x: Wire, axis: number): Wire {
    return this.node('ExpandDims', [x, this.int(axis)], x.dtype, 'output', {
      T: { type: x.dtype },
      Tdim: { type: 'int32' },
    });
  }

  transpose(x: Wire, axes: readonly number[]): Wire {
    return this.node('Transpose', [x, this.ints(axes)], x.dtype, 'y', {
      T: { type: x.dtype },
      Tperm: { type: 'int32' },
    });
  }

  /** begin may be computed; size −1 reaches to the end. */
  slice(x: Wire, begin: Wire, size: readonly number[]): Wire {
    return this.node('Slice', [x, begin, this.ints(size)], x.dtype, 'output', {
      T: { type: x.dtype },
      Index: { type: 'int32' },
    });
  }

  /** Tensors of one shape, along a new axis. */
  pack(values: readonly Wire[], axis = 0): Wire {
    const [{ dtype }] = values;
    const attributes = { T: { type: dtype }, N: { int: values.length }, axis: { int: axis } } as const;
    return this.node('Pack', values, dtype, 'output', attributes);
  }

  concat(values: readonly Wire[], axis = 0): Wire {
    if (values.length === 1) return values[0];
    const [{ dtype }] = values;
    const attributes = { T: { type: dtype }, N: { int: values.length }, Tidx: { type: 'int32' } } as const;
    return this.node('ConcatV2', [...values, this.int(axis)], dtype, 'output', attributes);
  }

  /** 0, 1, …, count − 1 */
  range(count: number): Wire {
    const limits = [0, count, 1].map((value) => this.int(value));
    return this.node('Range', limits, 'int32', 'output', { Tidx: { type: 'int32' } });
  }

  gather(x: Wire, indices: Wire, axis: number, batchDims = 0): Wire {
    return this.node('GatherV2', [x, indices, this.int(axis)], x.dtype, 'output', {
      Tparams: { type: x.dtype },
      Tindices: { type: indices.dtype },
      Taxis: { type: 'int32' },
      batch_dims: { int: batchDims },
    });
  }

  /** Row i of x is added to row indices[i] of a result with `count` rows. */
  segmentSum(x: Wire, indices: Wire, count: number): Wire {
    return this.node('UnsortedSegmentSum', [x, indices, this.int(count)], x.dtype, 'output', {
      T: { type: x.dtype },
      Tindices: { type: indices.dtype },
      Tnumsegments: { type: 'int32' },
    });
  }

  /** target with row i of x added to its row indices[i]; indices (rows, 1). */
  scatterAdd(target: Wire, indices: Wire, x: Wire): Wire {
    return this.node('TensorScatterAdd', [target, indices, x], x.dtype, 'output', {
      T: { type: x.dtype },
      Tindices: { type: indices.dtype },
    });
  }

  /** Of matrices. */
  matMul(a: Wire, b: Wire, transposes: { a?: boolean; b?: boolean }): Wire {
    return this.node('MatMul', [a, b], a.dtype, 'product', {
      T: { type: a.dtype },
      transpose_a: { bool: transposes.a ?? false },
      transpose_b: { bool: transposes.b ?? false },
    });
  }

  /** Of the last two axes; the others are the batch. */
  batchMatMul(a: Wire, b: Wire, transposes: { a?: boolean; b?: boolean }): Wire {
    return this.node('BatchMatMulV2', [a, b], a.dtype, 'output', {
      T: { type: a.dtype },
      adj_x: { bool: transposes.a ?? false },
      adj_y: { bool: transposes.b ?? false },
    });
  }

  biasAdd(x: Wire, bias: Wire): Wire {
    return this.node('BiasAdd', [x, bias], x.dtype, 'output', { T: { type: x.dtype } });
  }

  #unary(op: string, x: Wire, dtype = x.dtype): Wire {
    return this.node(op, [x], dtype, 'y', { T: { type: x.dtype } });
  }

  #binary(op: string, a: Wire, b: Wire, dtype = a.dtype): Wire {
    return this.node(op, [a, b], dtype, 'z', { T: { type: a.dtype } });
  }

  #reduction(op: string, x: Wire, axes: readonly number[], keepsAxes: boolean): Wire {
    return this.node(op, [x, this.ints(axes)], x.dtype, 'output', {
      T: { type: x.dtype },
      Tidx: { type: 'int32' },
      keep_dims: { bool: keepsAxes },
    });
  }
}

function bytesAsText(_key: string, value: unknown): unknown {
  return value instanceof Uint8Array ? Buffer.from(value).toString('base64') : value;
}
