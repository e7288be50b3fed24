/**
 * The oracle of all engines: runs a program operation by operation in float64, by the plain loops of src/ops.
 * Never fast; it refuses programs that would take minutes. Variables are float64 and come in and go out as such.
 */
import { GalvaniError } from '../../errors.js';
import { operations } from '../../ops/index.js';
import { sizeOf, type Values } from '../../ops/operation.js';
import { bytesOf } from '../../program/memory.js';
import { costOf, flopsOf } from '../../program/print.js';
import { type Program, typesOf } from '../../program/program.js';
import type { Engine, Inputs, OperationTime, OperationTimes, Outputs, Runtime, Ticket, TypedArray } from '../engine.js';
import { checkIndices, type IndexRules, indexRulesOf } from '../indices.js';
import { checkOptions } from '../options.js';
import {
  checkInputs,
  checkValues,
  findProgram,
  findVariable,
  type SharedVariable,
  sharedVariables,
} from '../programs.js';

/** About a minute at the 0.2 GFLOP/s of plain loops. */
const mostFlops = 20e9;

export const referenceEngine: Engine = {
  name: 'reference',
  capabilities: {
    precisions: ['float64'],
    mostThreads: 1,
    deterministic: 'always',
    checksFinite: false,
    exactDraws: true,
    maxBytes: 2 ** 33,
  },
  async load(programs, options = {}) {
    checkOptions(referenceEngine, options);
    for (const [name, program] of Object.entries(programs)) {
      const flops = flopsOf(program);
      if (flops <= mostFlops) continue;
      throw new GalvaniError({
        stage: 'engine',
        expected: `a program of at most ${mostFlops / 1e9} GFLOP for the reference engine`,
        got: `${(flops / 1e9).toFixed(1)} GFLOP`,
        where: `program ${name}`,
        remedy: 'Use --engine wasm; the reference engine is only for checking.',
        kind: 'wrongUse',
      });
    }
    return new ReferenceRuntime(programs);
  },
};

class ReferenceRuntime implements Runtime {
  readonly build = 'reference float64';
  readonly #programs: Readonly<Record<string, Program>>;
  readonly #rules: ReadonlyMap<string, IndexRules>;
  readonly #shared: Map<string, SharedVariable>;
  readonly #values = new Map<string, Float64Array>();

  constructor(programs: Readonly<Record<string, Program>>) {
    this.#programs = programs;
    this.#rules = new Map(Object.entries(programs).map(([name, program]) => [name, indexRulesOf(program)]));
    this.#shared = sharedVariables(programs);
    for (const [name, { shape }] of this.#shared) this.#values.set(name, new Float64Array(sizeOf(shape)));
  }

  async submit(name: string, inputs: Inputs): Promise<Ticket> {
    const outputs = this.#run(name, inputs);
    return { consumed: Promise.resolve(), outputs: Promise.resolve(outputs) };
  }

  variables() {
    return [...this.#shared.values()];
  }

  async read(name: string): Promise<TypedArray> {
    return this.#variable(name).slice();
  }

  async write(values: ReadonlyMap<string, TypedArray>): Promise<void> {
    for (const { name } of checkValues(this.#shared, values)) this.#values.get(name)!.set(values.get(name)!);
  }

  async snapshot(): Promise<Map<string, TypedArray>> {
    return new Map([...this.#values].map(([name, values]) => [name, values.slice()]));
  }

  memory() {
    const variableBytes = [...this.#values.values()].reduce((sum, { byteLength }) => sum + byteLength, 0);
    const valueBytes = Math.max(
      ...Object.values(this.#programs).map((program) =>
        program.tensors.reduce((sum, { kind }, i) => sum + (kind === 'value' ? 2 * bytesOf(program, i) : 0), 0),
      ),
    );
    return { variableBytes, valueBytes, totalBytes: variableBytes + valueBytes };
  }

  async profile(name: string, inputs: Inputs): Promise<OperationTimes> {
    const times: OperationTime[] = [];
    const start = performance.now();
    this.#run(name, inputs, times);
    return { stepMs: performance.now() - start, operations: times };
  }

  async close(): Promise<void> {}

  #variable(name: string): Float64Array {
    findVariable(this.#shared, name);
    return this.#values.get(name)!;
  }

  #run(name: string, inputs: Inputs, times?: OperationTime[]): Outputs {
    const program = findProgram(this.#programs, name);
    checkInputs(name, program, inputs);
    checkIndices(name, this.#rules.get(name)!, inputs);
    const values: Values[] = [];
    for (const [input, tensor] of Object.entries(program.inputs)) {
      values[tensor] =
        program.tensors[tensor].dtype === 'int32' ? (inputs[input] as Int32Array) : Float64Array.from(inputs[input]);
    }
    for (const [variable, { tensor }] of Object.entries(program.variables)) {
      values[tensor] = this.#values.get(variable)!;
    }
    for (const operation of program.operations) {
      const start = performance.now();
      for (const tensor of operation.outputs) {
        const { dtype, shape } = program.tensors[tensor];
        values[tensor] = dtype === 'int32' ? new Int32Array(sizeOf(shape)) : new Float64Array(sizeOf(shape));
      }
      operations.get(operation.name)!.reference({
        inputs: operation.inputs.map((tensor) => values[tensor]),
        outputs: operation.outputs.map((tensor) => values[tensor]),
        inputTypes: typesOf(program, operation.inputs),
        outputTypes: typesOf(program, operation.outputs),
        attributes: operation.attributes,
      });
      const ms = performance.now() - start;
      times?.push({ name: operation.name, scope: operation.scope, ms, ...costOf(program, operation) });
    }
    for (const [variable, { assigned }] of Object.entries(program.variables)) {
      if (assigned !== undefined) this.#values.set(variable, Float64Array.from(values[assigned]));
    }
    return Object.fromEntries(
      Object.entries(program.outputs).map(([output, tensor]) => [output, values[tensor].slice()]),
    );
  }
}
