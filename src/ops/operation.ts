/**
 * What an operation is: a shape rule, a gradient rule, a float64 reference, and its cost.
 *
 * One file of this folder defines one forward operation and the operations that only its gradient needs. Model code
 * calls the exported function of that file; engines look definitions up by name (index.ts) and map each to a kernel.
 * Shapes are checked when a program is built, so kernels and references run unchecked.
 */
import { GalvaniError } from '../errors.js';
import type { AttributeRule } from './attributes.js';

export type DType = 'float32' | 'int32';
export type Shape = readonly number[];

export interface TensorType {
  readonly dtype: DType;
  readonly shape: Shape;
}

/** A value of a program under construction. */
export interface Tensor extends TensorType {
  readonly id: number;
}

export type Attributes = Readonly<Record<string, number | string | boolean>>;

/** Values as the reference engine holds them: float32 tensors as float64, int32 tensors as they are. */
export type Values = Float64Array | Int32Array;

export interface ReferenceCall<A extends Attributes> {
  readonly inputs: readonly Values[];
  readonly outputs: readonly Values[];
  readonly inputTypes: readonly TensorType[];
  readonly outputTypes: readonly TensorType[];
  readonly attributes: A;
}

export interface GradientCall<A extends Attributes> {
  readonly build: Build;
  readonly inputs: readonly Tensor[];
  readonly outputs: readonly Tensor[];
  readonly attributes: A;
  /** Gradient of the objective by each output; absent where none flows. At least one is there. */
  readonly outputGradients: readonly (Tensor | undefined)[];
  /** Inputs whose gradient somebody wants. */
  readonly needed: readonly boolean[];
  /** What other uses of an input have already contributed. */
  readonly previous: readonly (Tensor | undefined)[];
  /** `again`, which the gradient makes anyway, is what this output is: those who read the output late may read it. */
  remade(output: number, again: Tensor): void;
}

/**
 * What the numbers of an int32 input must be, since kernels, which run unchecked, use them as addresses: in [0, below),
 * all of them or the first ones of each row, as many as input `inUse` says; or lengths of segments that fit into a row.
 */
export type IndexRule = { readonly below: number; readonly inUse?: number } | { readonly segmentsIn: number };

/** The rule of numbers that an operation passes on, by what its result must lie below, if that is bounded. */
export function below(bound: number | undefined, inUse?: number): IndexRule | undefined {
  if (bound === undefined) return undefined;
  return inUse === undefined ? { below: bound } : { below: bound, inUse };
}

/**
 * Positions of inputs and outputs that have something for every place of a batch, (B, T, …), each place by itself or
 * summed over: an engine may leave padding out of all of them. `lengths` is the input that says which places are real.
 */
export interface PlacesRule {
  readonly inputs: readonly number[] | 'all';
  readonly outputs: readonly number[];
  readonly lengths?: number;
}

export interface IndexCall<A extends Attributes> {
  readonly inputs: readonly TensorType[];
  readonly attributes: A;
  /** What the numbers of each output must lie below for those who read them, where they use them as addresses. */
  readonly outputBounds: readonly (number | undefined)[];
}

/**
 * Inputs that may be absent are `undefined` in these lists (their type, tensor and values alike); a rule that reads
 * an absent input is a bug of the rule.
 */
export interface OperationDefinition<A extends Attributes = Attributes> {
  readonly name: string;
  /** What each attribute may be; absent where there are none. */
  readonly attributes?: Readonly<Record<keyof A, AttributeRule>>;
  /** Types of the outputs, or an error that names what does not fit. */
  infer(inputs: readonly TensorType[], attributes: A): TensorType[];
  /** Appends the operations that compute the gradient of each needed input; returns them, one an input. */
  gradient?(call: GradientCall<A>): (Tensor | undefined)[];
  /** Inputs for which `gradient` has already added `previous` to what it returns. */
  readonly accumulates?: readonly number[];
  /** [output, input]: the output may take the input's memory when nobody reads the input afterwards. */
  readonly inPlace?: readonly (readonly [number, number])[];
  /** Rules of the inputs that are addresses, by position; what an engine checks before a program runs. */
  indices?(call: IndexCall<A>): Readonly<Record<number, IndexRule | undefined>>;
  /** What goes place by place; where `lengths` is absent, nothing does. */
  readonly places?: PlacesRule;
  /** Inputs that only matrix products and sums read, which an engine may hold in the precision of its products. */
  readonly operands?: readonly number[];
  /**
   * Floating-point operations of one call, a multiply-add counted as two. lengths: of segments, where `places` has them
   * and they are known; without, every row is one full segment.
   */
  flops(
    inputs: readonly TensorType[],
    outputs: readonly TensorType[],
    attributes: A,
    lengths?: ArrayLike<number>,
  ): number;
  /** Computes the outputs in float64, by plain loops. Every output element is written. */
  reference(call: ReferenceCall<A>): void;
}

/** Where operations are appended: the builder of `src/program`, as the rules here see it. */
export interface Build {
  apply<A extends Attributes>(
    definition: OperationDefinition<A>,
    inputs: readonly (Tensor | undefined)[],
    attributes: A,
  ): Tensor[];
}

export function sizeOf(shape: Shape): number {
  return shape.reduce((product, extent) => product * extent, 1);
}

export function lastOf(shape: Shape): number {
  return shape[shape.length - 1];
}

/** Number of rows when all axes but the last are folded into one. */
export function rowsOf(shape: Shape): number {
  return sizeOf(shape) / lastOf(shape);
}

export function float32(...shape: number[]): TensorType {
  return { dtype: 'float32', shape };
}

export function int32(...shape: number[]): TensorType {
  return { dtype: 'int32', shape };
}

export function describeType(type: TensorType): string {
  return `${type.dtype}[${type.shape.join(', ')}]`;
}

/** Checks one input of an operation against the type that the others demand; −1 stands for any extent. */
export function expectType(operation: string, input: string, actual: TensorType, expected: TensorType): void {
  const fits =
    actual.dtype === expected.dtype &&
    actual.shape.length === expected.shape.length &&
    expected.shape.every((extent, axis) => extent === -1 || extent === actual.shape[axis]);
  if (fits) return;
  throw new GalvaniError({
    stage: 'program',
    expected: `${input} of ${operation} to be ${describeType(expected)}`,
    got: describeType(actual),
    remedy: 'Shapes must agree where the program is built; check the model configuration.',
    kind: 'wrongUse',
  });
}
