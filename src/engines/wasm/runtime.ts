/**
 * Loaded programs on a team of threads. Calls are carried out in the order they were made: a read sees what all
 * programs submitted before it have left, and nothing of those after it.
 */
import { FirstNonFinite, Place } from '../../../assembly/compute/opcodes.js';
import { sizeOf, type TensorType } from '../../ops/operation.js';
import type { OperationCost } from '../../program/print.js';
import type { Program } from '../../program/program.js';
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
import { checkInputs, checkValues, findProgram, findVariable, nonFiniteResult } from '../programs.js';
import type { Layout, ProgramLayout, VariablePlace } from './layout.js';
import { costsOn } from './packing.js';
import type { Team } from './team.js';

interface Loaded extends ProgramLayout {
  readonly rules: IndexRules;
}

export class WasmRuntime implements Runtime {
  readonly build: string;
  readonly #layout: Layout;
  readonly #buffer: SharedArrayBuffer;
  readonly #team: Team;
  readonly #programs: Readonly<Record<string, Program>>;
  readonly #loaded: Map<string, Loaded>;
  /** Of each slot; absent where results are not checked. */
  readonly #firstNonFinite?: readonly Int32Array[];
  #last: Promise<unknown> = Promise.resolve();

  constructor(build: string, layout: Layout, memory: WebAssembly.Memory, team: Team) {
    this.build = build;
    this.#layout = layout;
    this.#buffer = memory.buffer as SharedArrayBuffer;
    this.#team = team;
    this.#firstNonFinite = layout.firstNonFinite?.map((address) => new Int32Array(this.#buffer, address, 1));
    this.#programs = Object.fromEntries([...layout.programs].map(([name, { program }]) => [name, program]));
    this.#loaded = new Map(
      [...layout.programs].map(([name, loaded]) => [name, { ...loaded, rules: indexRulesOf(loaded.program) }]),
    );
  }

  async submit(name: string, inputs: Inputs): Promise<Ticket> {
    const program = this.#checked(name, inputs);
    return this.#inOrder(async () => {
      await this.#team.free();
      const slot = this.#team.nextSlot;
      this.#writeInputs(program, slot, inputs);
      const check = this.#firstNonFinite?.[slot];
      check?.set([FirstNonFinite.None]);
      const outputs = this.#team.post(program.tapes[slot].address, name).then(() => {
        const [first] = check ?? [FirstNonFinite.None];
        if (first !== FirstNonFinite.None) throw nonFiniteResult(name, program.program, first);
        return this.#readOutputs(program, slot);
      });
      outputs.catch(() => {});
      return { consumed: Promise.resolve(), outputs };
    });
  }

  variables(): VariableInfo[] {
    return [...this.#layout.variables.values()].map(({ name, shape, dtype, role }) => ({ name, shape, dtype, role }));
  }

  async read(name: string): Promise<TypedArray> {
    const place = findVariable(this.#layout.variables, name);
    return this.#betweenSteps(() => this.#floats(place).slice());
  }

  async write(values: ReadonlyMap<string, TypedArray>): Promise<void> {
    const places = checkValues(this.#layout.variables, values);
    return this.#betweenSteps(() => {
      for (const place of places) this.#floats(place).set(values.get(place.name)!);
    });
  }

  async snapshot(): Promise<Map<string, TypedArray>> {
    return this.#betweenSteps(
      () => new Map([...this.#layout.variables.values()].map((place) => [place.name, this.#floats(place).slice()])),
    );
  }

  memory(): MemoryReport {
    const { variableBytes, valueBytes, totalBytes } = this.#layout;
    return { variableBytes, valueBytes, totalBytes };
  }

  flopsOn(name: string, inputs: Inputs): number {
    const { program, packing } = this.#checked(name, inputs);
    return costsOn(program, packing, inputs).reduce((sum, { flops }) => sum + flops, 0);
  }

  async profile(name: string, inputs: Inputs): Promise<OperationTimes> {
    const program = this.#checked(name, inputs);
    return this.#inOrder(async () => {
      await this.#team.idle();
      const slot = this.#team.nextSlot;
      this.#writeInputs(program, slot, inputs);
      const { operations } = program.program;
      const costs = costsOn(program.program, program.packing, inputs);
      const starts = new Float64Array(this.#buffer, this.#layout.times, operations.length + 2);
      starts.fill(Number.NaN);
      const waited = this.#layout.scratch.map((scratch) => new Float64Array(this.#buffer, scratch + Place.Waited, 1));
      // The second word of a tape is where its operations' start times go.
      const header = new Int32Array(this.#buffer, program.tapes[slot].address, 2);
      header[1] = this.#layout.times;
      try {
        await this.#team.post(program.tapes[slot].address, name);
      } finally {
        header[1] = 0;
      }
      return {
        ...timesOf(program, starts, costs),
        waitedMs: waited.reduce((sum, [ms]) => sum + ms, 0) / waited.length,
      };
    });
  }

  async close(): Promise<void> {
    await this.#inOrder(() => this.#team.close());
  }

  #inOrder<T>(action: () => Promise<T>): Promise<T> {
    const result = this.#last.then(action);
    this.#last = result.catch(() => {});
    return result;
  }

  #betweenSteps<T>(action: () => T): Promise<T> {
    return this.#inOrder(async () => {
      await this.#team.idle();
      return action();
    });
  }

  #writeInputs({ program, inputs: addresses }: Loaded, slot: number, inputs: Inputs): void {
    for (const [name, tensor] of Object.entries(program.inputs)) {
      this.#view(addresses[slot].get(name) ?? 0, program.tensors[tensor]).set(inputs[name]);
    }
  }

  #readOutputs({ program, outputs: addresses }: Loaded, slot: number): Outputs {
    return Object.fromEntries(
      Object.entries(program.outputs).map(([name, tensor]) => {
        return [name, this.#view(addresses[slot].get(name) ?? 0, program.tensors[tensor]).slice()];
      }),
    );
  }

  #view(address: number, { dtype, shape }: TensorType): Float32Array | Int32Array {
    const size = sizeOf(shape);
    return dtype === 'float32'
      ? new Float32Array(this.#buffer, address, size)
      : new Int32Array(this.#buffer, address, size);
  }

  #floats({ address, bytes }: VariablePlace): Float32Array {
    return new Float32Array(this.#buffer, address, bytes / 4);
  }

  /** The program, when the inputs fit it. */
  #checked(name: string, inputs: Inputs): Loaded {
    checkInputs(name, findProgram(this.#programs, name), inputs);
    const loaded = this.#loaded.get(name)!;
    checkIndices(name, loaded.rules, inputs);
    return loaded;
  }
}

/** Start times by operation number → milliseconds; operations that wrote no entry take none. */
function timesOf({ program }: Loaded, starts: Float64Array, costs: readonly OperationCost[]): OperationTimes {
  const written = [...starts.keys()].filter((i) => !Number.isNaN(starts[i]));
  const operations = written.slice(0, -1).map((index, i): OperationTime => {
    const ms = starts[written[i + 1]] - starts[index];
    const operation = program.operations[index];
    if (!operation) return { name: 'outputs', scope: '', ms, flops: 0, bytes: 0 };
    return { name: operation.name, scope: operation.scope, ms, ...costs[index] };
  });
  return { stepMs: starts[written[written.length - 1]] - starts[written[0]], operations };
}
