/**
 * A Program: a flat list of operations over named, shaped tensors. It is what every engine runs and nothing else.
 *
 * Plain data, so that it prints, compares and travels to workers as it is. Every value is written once (SSA); the
 * list is in an order that can be executed; variables get their new values after the last operation.
 */
import type { Attributes, DType, Shape, TensorType } from '../ops/operation.js';

export type TensorKind = 'input' | 'variable' | 'value';

export interface TensorInfo {
  readonly name: string;
  readonly kind: TensorKind;
  readonly dtype: DType;
  readonly shape: Shape;
}

export interface Operation {
  /** Name in src/ops/index.ts. */
  readonly name: string;
  /** Where the model asked for it, such as `discriminator/layer.3/attention`. */
  readonly scope: string;
  /** Tensor numbers; −1 where an input is absent. */
  readonly inputs: readonly number[];
  readonly outputs: readonly number[];
  readonly attributes: Attributes;
}

/** What a variable is for: decides what a checkpoint holds and what an export takes. */
export type VariableRole = 'parameter' | 'moment' | 'gradient';

export interface Variable {
  readonly role: VariableRole;
  readonly tensor: number;
  /** The value it takes when all operations have run; absent where the program only reads it. */
  readonly assigned?: number;
}

export interface Program {
  readonly tensors: readonly TensorInfo[];
  readonly operations: readonly Operation[];
  readonly inputs: Readonly<Record<string, number>>;
  readonly variables: Readonly<Record<string, Variable>>;
  readonly outputs: Readonly<Record<string, number>>;
}

/** What a program leaves behind: tensors that are outputs, and those that variables become. */
export function resultsOf(program: Program): Set<number> {
  const results = new Set(Object.values(program.outputs));
  for (const { assigned } of Object.values(program.variables)) if (assigned !== undefined) results.add(assigned);
  return results;
}

/** Types of an operation's inputs or outputs; an absent one has no type, and rules do not read it. */
export function typesOf(program: Program, tensors: readonly number[]): TensorType[] {
  return tensors.map((tensor) => program.tensors[tensor]);
}
