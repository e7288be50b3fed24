/**
 * Builds a Program: inputs, variables, operations, gradients, assignments, outputs, in the order they are asked for.
 * Types are inferred and checked at once, so an error points at the line of model code that is wrong.
 */
import { GalvaniError } from '../errors.js';
import type { Attributes, Build, OperationDefinition, Shape, Tensor, TensorType } from '../ops/operation.js';
import { describeType } from '../ops/operation.js';
import { shareCommonSubexpressions } from './commonSubexpressions.js';
import { removeDeadCode } from './deadCode.js';
import { appendGradients } from './gradients.js';
import type { Operation, Program, TensorInfo, Variable, VariableRole } from './program.js';
import { readRemade } from './recomputation.js';

export class ProgramBuilder implements Build {
  readonly #tensors: TensorInfo[] = [];
  readonly #operations: Operation[] = [];
  readonly #inputs: Record<string, number> = {};
  readonly #variables: Record<string, Variable> = {};
  readonly #outputs: Record<string, number> = {};
  readonly #remade: [number, number][] = [];
  #scope = '';

  /** Operations so far, for those who append to them (gradients). */
  get operations(): readonly Operation[] {
    return this.#operations;
  }

  tensor(id: number): Tensor {
    const { dtype, shape } = this.#tensors[id];
    return { id, dtype, shape };
  }

  input(name: string, type: TensorType): Tensor {
    this.#refuseTwice('input', name, this.#inputs);
    const tensor = this.#add({ name, kind: 'input', ...type });
    this.#inputs[name] = tensor.id;
    return tensor;
  }

  /** The value of a float32 variable when the program starts. Asked for again, it is the same tensor. */
  variable(name: string, shape: Shape, role: VariableRole): Tensor {
    const known = this.#variables[name];
    const type: TensorType = { dtype: 'float32', shape };
    if (known) {
      const tensor = this.tensor(known.tensor);
      if (known.role === role && describeType(tensor) === describeType(type)) return tensor;
      throw new GalvaniError({
        stage: 'program',
        expected: `variable ${name} to be ${known.role} ${describeType(tensor)} at every use`,
        got: `${role} ${describeType(type)}`,
        where: this.#where,
        remedy: 'Give the second one a name of its own.',
        kind: 'wrongUse',
      });
    }
    const tensor = this.#add({ name, kind: 'variable', ...type });
    this.#variables[name] = { role, tensor: tensor.id };
    return tensor;
  }

  /**
   * Sets what a variable holds after the program; once per variable. Not to what another variable held before it: engines
   * write variables one after another.
   */
  assign(name: string, value: Tensor): void {
    const variable = this.#variables[name];
    if (!variable || variable.assigned !== undefined) {
      throw new Error(`internal: variable ${name} is ${variable ? 'assigned twice' : 'not there'}`);
    }
    if (this.#tensors[value.id].kind === 'variable' && value.id !== variable.tensor) {
      throw new Error(`internal: variable ${name} is assigned another variable, ${this.#tensors[value.id].name}`);
    }
    this.#variables[name] = { ...variable, assigned: value.id };
  }

  output(name: string, tensor: Tensor): void {
    this.#refuseTwice('output', name, this.#outputs);
    this.#outputs[name] = tensor.id;
  }

  /** Operations that `body` appends carry `name` in their scope. */
  scope<T>(name: string, body: () => T): T {
    const outer = this.#scope;
    this.#scope = outer === '' ? name : `${outer}/${name}`;
    try {
      return body();
    } finally {
      this.#scope = outer;
    }
  }

  /** Operations that `body` appends carry exactly this scope. */
  inScope<T>(scope: string, body: () => T): T {
    const outer = this.#scope;
    this.#scope = scope;
    try {
      return body();
    } finally {
      this.#scope = outer;
    }
  }

  apply<A extends Attributes>(
    definition: OperationDefinition<A>,
    inputs: readonly (Tensor | undefined)[],
    attributes: A,
  ): Tensor[] {
    const types = this.#infer(definition, inputs, attributes);
    const serial = this.#operations.length;
    const outputs = types.map(({ dtype, shape }, i) =>
      this.#add({ name: `${definition.name}.${serial}${i === 0 ? '' : `:${i}`}`, kind: 'value', dtype, shape }),
    );
    this.#operations.push({
      name: definition.name,
      scope: this.#scope,
      inputs: inputs.map((tensor) => tensor?.id ?? -1),
      outputs: outputs.map((tensor) => tensor.id),
      attributes,
    });
    return outputs;
  }

  /**
   * Appends the gradient of a scalar by each of `parameters`. Where `previous` has a tensor for a parameter, the
   * gradient is added to it (micro-batches, several objectives). undefined where there is neither.
   */
  gradients(
    objective: Tensor,
    parameters: readonly Tensor[],
    previous?: readonly (Tensor | undefined)[],
  ): (Tensor | undefined)[] {
    return appendGradients(this, objective, parameters, previous);
  }

  /** Says that `again` is the same as an earlier value. */
  remade(value: number, again: number): void {
    this.#remade.push([value, again]);
  }

  /** What was asked for, without what is computed twice or for nobody, or kept although it is made again. */
  finish(): Program {
    const frugal = readRemade(this.#asAsked(), this.#remade);
    return removeDeadCode(shareCommonSubexpressions(frugal));
  }

  #asAsked(): Program {
    return {
      tensors: this.#tensors,
      operations: this.#operations,
      inputs: this.#inputs,
      variables: this.#variables,
      outputs: this.#outputs,
    };
  }

  #infer<A extends Attributes>(
    definition: OperationDefinition<A>,
    inputs: readonly (Tensor | undefined)[],
    attributes: A,
  ): TensorType[] {
    try {
      // An absent input has no type: definitions only read what they know to be there.
      return definition.infer(inputs as Tensor[], attributes);
    } catch (error) {
      if (error instanceof GalvaniError) throw new GalvaniError({ ...error.parts, where: this.#where });
      throw error;
    }
  }

  /** What a message says about the operation that is being built. */
  get #where(): string {
    return `operation ${this.#operations.length}${this.#scope === '' ? '' : ` of ${this.#scope}`}`;
  }

  #add(info: TensorInfo): Tensor {
    this.#tensors.push({ name: info.name, kind: info.kind, dtype: info.dtype, shape: info.shape });
    return this.tensor(this.#tensors.length - 1);
  }

  #refuseTwice(what: string, name: string, known: Record<string, number>): void {
    if (name in known) throw new Error(`internal: ${what} ${name} is there twice`);
  }
}
