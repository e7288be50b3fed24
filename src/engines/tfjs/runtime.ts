/**
 * Programs run eagerly: one operation after another through tfjs, its inputs freed when the last that reads them has run.
 * Variables get new tensors after the last operation, so a run that fails leaves all of them as they were.
 *
 * Runs follow each other in the order of `submit`, two at most in flight; what is asked of variables waits for them. A run
 * gives the event loop a turn about ten times a second.
 */
import { clone, keep, reshape, type Tensor, tensor, tidy, zeros } from '@tensorflow/tfjs-core';
import { GalvaniError } from '../../errors.js';
import { sizeOf } from '../../ops/operation.js';
import { bytesOf, findLastReads } from '../../program/memory.js';
import { costOf } from '../../program/print.js';
import { type Operation, type Program, typesOf } from '../../program/program.js';
import type {
  Inputs,
  MemoryReport,
  OperationTime,
  OperationTimes,
  Outputs,
  Runtime,
  Ticket,
  TypedArray,
  VariableInfo,
} from '../engine.js';
import { checkIndices, type IndexRules, indexRulesOf } from '../indices.js';
import {
  checkInputs,
  checkValues,
  closedEngine,
  findProgram,
  findVariable,
  type SharedVariable,
  sharedVariables,
} from '../programs.js';
import { activate, type Backend } from './backend.js';
import { operationFunctions } from './operations/index.js';

interface Loaded {
  readonly program: Program;
  readonly rules: IndexRules;
  /** Operation number → tensors that nobody reads after it. */
  readonly dead: readonly (readonly number[])[];
}

/** Milliseconds of operations after which the event loop gets a turn. */
const turnMs = 100;

export class TfjsRuntime implements Runtime {
  readonly build: string;
  readonly #backend: Backend;
  readonly #programs: Readonly<Record<string, Program>>;
  readonly #loaded: ReadonlyMap<string, Loaded>;
  readonly #shared: ReadonlyMap<string, SharedVariable>;
  readonly #variables = new Map<string, Tensor>();
  #last: Promise<unknown> = Promise.resolve();
  #beforeLast: Promise<unknown> = Promise.resolve();
  #turnAt = 0;
  #isClosed = false;

  /** @throws GalvaniError when the programs do not fit the backend's memory. */
  constructor(build: string, backend: Backend, programs: Readonly<Record<string, Program>>) {
    this.build = build;
    this.#backend = backend;
    this.#programs = programs;
    this.#shared = sharedVariables(programs);
    this.#loaded = new Map(
      Object.entries(programs).map(([name, program]) => [
        name,
        { program, rules: indexRulesOf(program), dead: deadAfter(program) },
      ]),
    );
    const { variableBytes, valueBytes, totalBytes } = this.memory();
    if (variableBytes + valueBytes > backend.mostBytes) throw tooLarge(backend, totalBytes);
    activate(backend);
    try {
      for (const [name, { shape }] of this.#shared) this.#variables.set(name, zeros([...shape]));
    } catch (error) {
      this.#dispose();
      throw error;
    }
  }

  async submit(name: string, inputs: Inputs): Promise<Ticket> {
    const loaded = this.#checked(name, inputs);
    const copies = copiesOf(inputs);
    const room = this.#beforeLast;
    const outputs = this.#inOrder(() => this.#run(loaded, copies));
    outputs.catch(() => {});
    await room;
    return { consumed: Promise.resolve(), outputs };
  }

  variables(): VariableInfo[] {
    return [...this.#shared.values()];
  }

  async read(name: string): Promise<TypedArray> {
    findVariable(this.#shared, name);
    return this.#inOrder(() => this.#download(this.#variables.get(name)!));
  }

  async write(values: ReadonlyMap<string, TypedArray>): Promise<void> {
    const variables = checkValues(this.#shared, values);
    return this.#inOrder(async () => {
      activate(this.#backend);
      for (const { name, shape } of variables) {
        // A copy: some backends keep the array that they are given.
        this.#replace(name, tensor(new Float32Array(values.get(name)!), [...shape]));
      }
    });
  }

  async snapshot(): Promise<Map<string, TypedArray>> {
    return this.#inOrder(async () => {
      const values = new Map<string, TypedArray>();
      for (const [name, variable] of this.#variables) values.set(name, await this.#download(variable));
      return values;
    });
  }

  /** Besides, an operation needs working memory while it runs: attention a few times (B, A, T, T). */
  memory(): MemoryReport {
    const variableBytes = [...this.#shared.values()].reduce((sum, { shape }) => sum + 4 * sizeOf(shape), 0);
    const valueBytes = Math.max(0, ...[...this.#loaded.values()].map(mostLiveBytes));
    return {
      variableBytes,
      valueBytes,
      totalBytes: Math.max(variableBytes + valueBytes, this.#backend.heldBytes()),
    };
  }

  /** A backend that computes behind the host's back is clocked by what its host part takes. */
  async profile(name: string, inputs: Inputs): Promise<OperationTimes> {
    const loaded = this.#checked(name, inputs);
    const copies = copiesOf(inputs);
    return this.#inOrder(async () => {
      const operations: OperationTime[] = [];
      const start = performance.now();
      await this.#run(loaded, copies, operations);
      return { stepMs: performance.now() - start, operations };
    });
  }

  async close(): Promise<void> {
    this.#isClosed = true;
    await this.#last;
    this.#dispose();
  }

  #dispose(): void {
    for (const variable of this.#variables.values()) variable.dispose();
    this.#variables.clear();
  }

  #checked(name: string, inputs: Inputs): Loaded {
    checkInputs(name, findProgram(this.#programs, name), inputs);
    const loaded = this.#loaded.get(name)!;
    checkIndices(name, loaded.rules, inputs);
    return loaded;
  }

  #inOrder<T>(action: () => Promise<T>): Promise<T> {
    if (this.#isClosed) throw closedEngine('tfjs');
    const result = this.#last.then(action);
    this.#beforeLast = this.#last;
    this.#last = result.catch(() => {});
    return result;
  }

  async #run({ program, dead }: Loaded, inputs: Inputs, times?: OperationTime[]): Promise<Outputs> {
    const values = new Map<number, Tensor>();
    const onHost = new Map<number, Int32Array | Float32Array>();
    activate(this.#backend);
    try {
      for (const [name, number] of Object.entries(program.inputs)) {
        const { shape, dtype } = program.tensors[number];
        values.set(number, tensor(inputs[name], [...shape], dtype));
        onHost.set(number, inputs[name] as Int32Array | Float32Array);
      }
      for (const [index, operation] of program.operations.entries()) {
        const start = performance.now();
        const outputs = this.#runOperation(program, operation, values, onHost);
        for (const [i, output] of outputs.entries()) values.set(operation.outputs[i], output);
        for (const number of dead[index]) {
          values.get(number)?.dispose();
          values.delete(number);
          onHost.delete(number);
        }
        const ms = performance.now() - start;
        times?.push({ name: operation.name, scope: operation.scope, ms, ...costOf(program, operation) });
        if (performance.now() - this.#turnAt > turnMs) await this.#takeTurn();
      }
      const entries = Object.entries(program.outputs).map(async ([name, number]) => {
        return [name, await this.#download(this.#tensorOf(program, values, number))];
      });
      const outputs: Outputs = Object.fromEntries(await Promise.all(entries));
      this.#assign(program, values);
      return outputs;
    } finally {
      for (const value of values.values()) value.dispose();
    }
  }

  async #takeTurn(): Promise<void> {
    await new Promise((resolve) => setTimeout(resolve, 0));
    this.#turnAt = performance.now();
    activate(this.#backend);
  }

  #runOperation(
    program: Program,
    operation: Operation,
    values: ReadonlyMap<number, Tensor>,
    onHost: Map<number, Int32Array | Float32Array>,
  ): Tensor[] {
    const compute = operationFunctions.get(operation.name);
    if (!compute) throw unknownOperation(operation.name);
    const inputs = operation.inputs.map((number) => this.#tensorOf(program, values, number));
    const outputTypes = typesOf(program, operation.outputs);
    const host = (position: number) => {
      const number = operation.inputs[position];
      const known = onHost.get(number) ?? (inputs[position].dataSync() as Int32Array | Float32Array);
      onHost.set(number, known);
      return known;
    };
    return tidy(() => {
      const outputs = compute({
        inputs,
        inputTypes: typesOf(program, operation.inputs),
        outputTypes,
        attributes: operation.attributes,
        host,
      });
      return outputTypes.map(({ shape }, i) => reshape(outputs[i], [...shape]));
    });
  }

  /** Variables have their tensors here, all else in the run; absent inputs have none. */
  #tensorOf(program: Program, values: ReadonlyMap<number, Tensor>, number: number): Tensor {
    const info = program.tensors[number];
    return (info?.kind === 'variable' ? this.#variables.get(info.name) : values.get(number)) as Tensor;
  }

  /** All new values are there before the first variable takes its own: one of them may be another's old one. */
  #assign(program: Program, values: ReadonlyMap<number, Tensor>): void {
    const next = Object.entries(program.variables).flatMap(([name, { assigned }]): [string, Tensor][] =>
      assigned === undefined ? [] : [[name, clone(this.#tensorOf(program, values, assigned))]],
    );
    for (const [name, value] of next) this.#replace(name, value);
  }

  /** Values for the caller to keep, to change, and to give back the memory of. */
  async #download(value: Tensor): Promise<TypedArray> {
    const values = (await value.data()) as TypedArray;
    return this.#backend.readsOwnArrays ? values.slice() : values;
  }

  #replace(name: string, value: Tensor): void {
    this.#variables.get(name)?.dispose();
    this.#variables.set(name, keep(value));
  }
}

/** Arrays of their own, in the types of tensors: those of the caller may be refilled as soon as the program is queued. */
function copiesOf(inputs: Inputs): Inputs {
  return Object.fromEntries(
    Object.entries(inputs).map(([name, values]) => [
      name,
      values instanceof Int32Array ? values.slice() : new Float32Array(values),
    ]),
  );
}

/** By operation: what it reads last, and what it writes for nobody. */
function deadAfter(program: Program): number[][] {
  const lastReads = findLastReads(program);
  return program.operations.map(({ inputs, outputs }, index) => {
    const ended = inputs.filter((n) => n >= 0 && lastReads.get(n) === index && program.tensors[n].kind !== 'variable');
    return [...new Set([...ended, ...outputs.filter((n) => !lastReads.has(n))])];
  });
}

/** Bytes of inputs and values that are there at once. */
function mostLiveBytes({ program, dead }: Loaded): number {
  let live = Object.values(program.inputs).reduce((sum, number) => sum + bytesOf(program, number), 0);
  let most = live;
  for (const [index, { outputs }] of program.operations.entries()) {
    for (const number of outputs) live += bytesOf(program, number);
    most = Math.max(most, live);
    for (const number of dead[index]) live -= bytesOf(program, number);
  }
  return most;
}

function tooLarge({ mostBytes }: Backend, bytes: number): GalvaniError {
  const gib = (n: number) => `${(n / 2 ** 30).toFixed(2)} GiB`;
  return new GalvaniError({
    stage: 'tfjs',
    expected: `programs that fit into ${gib(mostBytes)}, the memory of WebAssembly`,
    got: gib(bytes),
    remedy: 'Choose a smaller model, --micro-batch-size or --sequence-length.',
    kind: 'wrongUse',
  });
}

function unknownOperation(name: string): GalvaniError {
  return new GalvaniError({
    stage: 'tfjs',
    expected: 'operations that the tfjs engine has functions for',
    got: name,
    remedy: 'Use the reference engine, or add the operation to src/engines/tfjs/operations.',
  });
}
