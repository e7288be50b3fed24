/**
 * Loaded programs on the session's thread. Calls are carried out in the order they were made, one at a time; a few
 * programs may wait behind the one that runs, so that the device has its next one without asking the main thread.
 *
 * A batch is read where it lies in shared memory and is consumed when its program has run. Values come to the host only
 * as outputs of programs, by `read` and by `snapshot`.
 */
import { sizeOf } from '../../ops/operation.js';
import { planMemory } from '../../program/memory.js';
import type { Program } from '../../program/program.js';
import type {
  Inputs,
  MemoryReport,
  OperationTimes,
  Outputs,
  Runtime,
  Ticket,
  Traffic,
  TypedArray,
  VariableInfo,
} from '../engine.js';
import { checkIndices, type IndexRules, indexRulesOf } from '../indices.js';
import { checkInputs, checkValues, findProgram, findVariable, sharedVariables } from '../programs.js';
import type { Emitted } from './emission.js';
import { explain } from './explain.js';
import type { Feed } from './session.js';
import type { SessionThread } from './thread.js';

/** Programs that may be in flight: one that runs and two that wait. */
const mostInFlight = 3;

export class TensorflowRuntime implements Runtime {
  readonly build: string;
  readonly #programs: Readonly<Record<string, Program>>;
  readonly #emitted: Emitted;
  readonly #thread: SessionThread;
  readonly #rules: ReadonlyMap<string, IndexRules>;
  readonly #variables: ReadonlyMap<string, VariableInfo>;
  /** Programs in flight, oldest first; settled when they have run or failed. */
  readonly #inFlight: Promise<void>[] = [];
  /** Of a program that updates variables: some may be updated and others not. */
  #failure: unknown;
  #last: Promise<unknown> = Promise.resolve();
  #traffic: { -readonly [name in keyof Traffic]: number } = noTraffic();

  constructor(build: string, programs: Readonly<Record<string, Program>>, emitted: Emitted, thread: SessionThread) {
    this.build = build;
    this.#programs = programs;
    this.#emitted = emitted;
    this.#thread = thread;
    this.#rules = new Map(Object.entries(programs).map(([name, program]) => [name, indexRulesOf(program)]));
    this.#variables = sharedVariables(programs);
  }

  /**
   * Runs every program once on inputs that lead nowhere: the library looks at a graph when it first runs it, which
   * takes seconds. All variables are 0 when it resolves, and nothing is counted yet.
   */
  async warmUp(): Promise<void> {
    await this.#run([], [this.#emitted.initialize], 'initialize');
    for (const [name, program] of Object.entries(this.#programs)) {
      await (await this.submit(name, harmlessInputs(program))).outputs;
    }
    await this.#run([], [this.#emitted.initialize], 'initialize');
    this.#traffic = noTraffic();
  }

  async submit(name: string, inputs: Inputs): Promise<Ticket> {
    const start = performance.now();
    const program = findProgram(this.#programs, name);
    checkInputs(name, program, inputs);
    checkIndices(name, this.#rules.get(name)!, inputs);
    this.#traffic.hostMs += performance.now() - start;
    return this.#inOrder(async () => {
      while (this.#inFlight.length >= mostInFlight) await this.#inFlight[0];
      this.#expectAlive();
      const ran = this.#runProgram(name, program, inputs);
      const consumed = ran.then(noop, noop);
      this.#inFlight.push(consumed);
      void consumed.then(() => this.#inFlight.shift());
      return { consumed, outputs: ran };
    });
  }

  variables(): VariableInfo[] {
    return [...this.#variables.values()];
  }

  async read(name: string): Promise<TypedArray> {
    return (await this.#values([findVariable(this.#variables, name)])).get(name)!;
  }

  async write(values: ReadonlyMap<string, TypedArray>): Promise<void> {
    const variables = checkValues(this.#variables, values);
    const emitted = variables.map(({ name }) => this.#emitted.variables.get(name)!);
    const feeds = variables.map(({ name, shape }, i) => feedOf(emitted[i].feed, shape, values.get(name)!));
    await this.#inOrder(() =>
      this.#run(
        feeds,
        emitted.map(({ written }) => written),
        'write',
      ),
    );
  }

  snapshot(): Promise<Map<string, TypedArray>> {
    return this.#values(this.variables());
  }

  /** Bytes as the plan by liveness has them; the library's allocators take more. */
  memory(): MemoryReport {
    const variableBytes = this.variables().reduce((sum, { shape }) => sum + 4 * sizeOf(shape), 0);
    const valueBytes = Math.max(0, ...Object.values(this.#programs).map((program) => planMemory(program).bytes));
    return { variableBytes, valueBytes, totalBytes: variableBytes + valueBytes };
  }

  traffic(): Traffic {
    return { ...this.#traffic };
  }

  async profile(name: string, inputs: Inputs): Promise<OperationTimes> {
    const { deviceMs: before } = this.#traffic;
    await (await this.submit(name, inputs)).outputs;
    return { stepMs: this.#traffic.deviceMs - before, operations: [] };
  }

  async close(): Promise<void> {
    await this.#inOrder(() => this.#thread.close());
  }

  async #runProgram(name: string, program: Program, inputs: Inputs): Promise<Outputs> {
    const { feeds, outputs, done } = this.#emitted.programs.get(name)!;
    const given = Object.entries(program.inputs).map(([input, tensor]) =>
      feedOf(feeds[input], program.tensors[tensor].shape, inputs[input]),
    );
    // Two outputs may be one tensor.
    const fetches = [...new Set(Object.values(outputs))];
    try {
      const values = await this.#run(given, done === undefined ? fetches : [...fetches, done], name);
      return Object.fromEntries(
        Object.entries(outputs).map(([output, tensor]) => [output, values[fetches.indexOf(tensor)]]),
      );
    } catch (error) {
      if (done !== undefined) this.#failure ??= error;
      throw error;
    }
  }

  #values(variables: readonly VariableInfo[]): Promise<Map<string, TypedArray>> {
    const fetches = variables.map(({ name }) => this.#emitted.variables.get(name)!.value);
    return this.#inOrder(async () => {
      const values = await this.#run([], fetches, 'read');
      return new Map(variables.map(({ name }, i) => [name, values[i]]));
    });
  }

  /** Values of the tensors that are fetched. @throws what a program before it has left undone. */
  async #run(feeds: readonly Feed[], fetches: readonly string[], doing: string): Promise<TypedArray[]> {
    this.#expectAlive();
    if (fetches.length === 0) return [];
    const start = performance.now();
    const uploadedBytes = bytesOf(feeds.map(({ values }) => values));
    const running = this.#thread.run({ feeds, fetches });
    this.#traffic.hostMs += performance.now() - start;
    const ran = await running.catch((cause) => {
      throw explain(cause, this.#programs, doing);
    });
    if (this.#failure) throw this.#failure;
    const traffic = this.#traffic;
    traffic.calls++;
    traffic.tensors += feeds.length + ran.values.length;
    traffic.uploadedBytes += uploadedBytes;
    traffic.downloadedBytes += bytesOf(ran.values);
    traffic.deviceMs += ran.callMs;
    traffic.hostMs += ran.hostMs;
    return ran.values as TypedArray[];
  }

  #expectAlive(): void {
    const failure = this.#failure ?? this.#thread.failure;
    if (failure) throw failure;
  }

  #inOrder<T>(action: () => Promise<T>): Promise<T> {
    const result = this.#last.then(action);
    this.#last = result.catch(noop);
    return result;
  }
}

/** What lies in shared memory is read there; of other arrays a copy is sent. */
function feedOf(tensor: string, shape: readonly number[], values: TypedArray): Feed {
  if (values instanceof Float64Array) return { tensor, shape, values: Float32Array.from(values) };
  return { tensor, shape, values: values.buffer instanceof SharedArrayBuffer ? values : values.slice() };
}

/** 0 keeps every rule of ids, places, lengths and counts; 1 is a denominator. */
function harmlessInputs({ inputs, tensors }: Program): Inputs {
  return Object.fromEntries(
    Object.entries(inputs).map(([name, tensor]) => {
      const { dtype, shape } = tensors[tensor];
      return [name, dtype === 'int32' ? new Int32Array(sizeOf(shape)) : new Float32Array(sizeOf(shape)).fill(1)];
    }),
  );
}

function bytesOf(arrays: readonly ArrayBufferView[]): number {
  return arrays.reduce((sum, { byteLength }) => sum + byteLength, 0);
}

function noTraffic() {
  return { calls: 0, uploadedBytes: 0, downloadedBytes: 0, tensors: 0, deviceMs: 0, hostMs: 0 };
}

function noop(): void {}
