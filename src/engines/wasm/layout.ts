/**
 * Where everything lies in the one shared memory, decided before any of it is allocated:
 *
 *   nothing (address 0 means absent) · control block · inputs, 2 slots · outputs, 2 slots · variables by name ·
 *   values, shared by all programs · results of checks · real rows · ring of temporaries · scratch of each thread · tapes · start times · guard
 *
 * Two slots let the next step's inputs be written, and its outputs wait, while a step runs. Programs run one after
 * another, so all share one area for values.
 */
import { Control } from '../../../assembly/compute/opcodes.js';
import { GalvaniError } from '../../errors.js';
import { sizeOf } from '../../ops/operation.js';
import { bytesOf, type MemoryPlan, planMemory } from '../../program/memory.js';
import type { Program } from '../../program/program.js';
import { type SharedVariable, sharedVariables } from '../programs.js';
import { type Addresses, compileProgram, packingBytes } from './compile.js';
import { type PackingPlan, planPacking } from './packing.js';
import type { Ring } from './tapeWriter.js';

/** Jobs that may be in flight. */
export const slots = 2;

export const pageBytes = 65536;
/** What wasm32 can address, less one page: an address just behind the end must still be a number of 32 bits. */
export const mostBytes = 65535 * pageBytes;

const alignment = 64;
const controlAddress = 1024;
/** scratch.ts: all that stands before work, and what kernels read beyond the end of a row. */
export const scratchHeadBytes = 448 + 128;
/** Temporaries that need not wait for each other, where programs have more than this. */
const roomyRingBytes = 16 * 2 ** 20;

export interface VariablePlace extends SharedVariable {
  readonly address: number;
  readonly bytes: number;
}

export interface TapePlace {
  readonly address: number;
  readonly words: Int32Array;
}

export interface ProgramLayout {
  readonly program: Program;
  readonly packing: PackingPlan;
  /** One a slot. */
  readonly tapes: readonly TapePlace[];
  /** Addresses in each slot, by name. */
  readonly inputs: readonly ReadonlyMap<string, number>[];
  readonly outputs: readonly ReadonlyMap<string, number>[];
}

export interface Layout {
  readonly control: number;
  readonly programs: ReadonlyMap<string, ProgramLayout>;
  readonly variables: ReadonlyMap<string, VariablePlace>;
  readonly scratch: readonly number[];
  /** Of each slot: where the number of the first operation goes whose result is not finite; absent where nobody asks. */
  readonly firstNonFinite?: readonly number[];
  /** Start times of a profiled program: a float64 for each operation and two more. */
  readonly times: number;
  readonly valueBytes: number;
  readonly variableBytes: number;
  readonly totalBytes: number;
}

/** @throws GalvaniError when programs disagree about a variable, or all of it does not fit. */
export function layOut(programs: Readonly<Record<string, Program>>, threads: number, checkFinite = false): Layout {
  const entries = Object.entries(programs);
  const plans = new Map<string, MemoryPlan>(entries.map(([name, program]) => [name, planMemory(program)]));
  const packingPlans = new Map<string, PackingPlan>(entries.map(([name, program]) => [name, planPacking(program)]));
  const area = new Area(controlAddress);
  const control = area.take(Control.Bytes);
  const inputs = takeSlots(area, entries, (program) => program.inputs);
  const outputs = takeSlots(area, entries, (program) => program.outputs);
  const variables = takeVariables(area, programs);
  const valueBytes = Math.max(0, ...[...plans.values()].map((plan) => plan.bytes));
  const values = area.take(valueBytes);
  const firstNonFinite = checkFinite ? Array.from({ length: slots }, () => area.take(4)) : undefined;
  const packings = area.take(Math.max(0, ...[...packingPlans.values()].map(packingBytes)));

  const compile = (name: string, slot: number, ring: Ring) => {
    const addresses: Addresses = {
      input: (input) => inputs[slot].get(name)?.get(input) ?? 0,
      output: (output) => outputs[slot].get(name)?.get(output) ?? 0,
      variable: (variable) => variables.get(variable)?.address ?? 0,
      values,
      packings,
      firstNonFinite: firstNonFinite?.[slot] ?? 0,
      ring,
    };
    return compileProgram(programs[name], plans.get(name)!, packingPlans.get(name)!, addresses);
  };
  // Written once for their measures, with a ring that never comes round.
  const measures = entries.map(([name]) => compile(name, 0, { address: 0, bytes: Number.POSITIVE_INFINITY }));
  const ringBytes = Math.max(
    0,
    ...measures.map(({ temporaryBytes, largestTemporary }) =>
      Math.min(temporaryBytes, Math.max(2 * largestTemporary, roomyRingBytes)),
    ),
  );
  const ring = { address: area.take(ringBytes), bytes: ringBytes };
  const scratchBytes = scratchHeadBytes + Math.max(0, ...measures.map((measure) => measure.scratchBytes));
  const scratch = Array.from({ length: threads }, () => area.take(scratchBytes));
  const times = area.take(8 * (2 + Math.max(0, ...entries.map(([, program]) => program.operations.length))));

  const layouts = new Map<string, ProgramLayout>();
  for (const [name, program] of entries) {
    const tapes = Array.from({ length: slots }, (_, slot): TapePlace => {
      const words = compile(name, slot, ring).finish();
      return { address: area.take(words.byteLength), words };
    });
    layouts.set(name, {
      program,
      packing: packingPlans.get(name)!,
      tapes,
      inputs: inputs.map((slot) => slot.get(name)!),
      outputs: outputs.map((slot) => slot.get(name)!),
    });
  }
  const variableBytes = [...variables.values()].reduce((sum, { bytes }) => sum + bytes, 0);
  const totalBytes = Math.ceil((area.end + pageBytes) / pageBytes) * pageBytes;
  if (totalBytes > mostBytes) {
    throw tooLarge(totalBytes, { variables: variableBytes, values: valueBytes, working: ringBytes });
  }
  return {
    control,
    programs: layouts,
    variables,
    scratch,
    firstNonFinite,
    times,
    valueBytes,
    variableBytes,
    totalBytes,
  };
}

/** Hands out memory from a start upwards. */
class Area {
  end: number;

  constructor(start: number) {
    this.end = start;
  }

  take(bytes: number): number {
    const address = this.end;
    this.end += Math.ceil(bytes / alignment) * alignment;
    return address;
  }
}

/** slot → program → name → address; programs take turns in the same memory. */
function takeSlots(
  area: Area,
  entries: readonly (readonly [string, Program])[],
  tensorsOf: (program: Program) => Readonly<Record<string, number>>,
): Map<string, Map<string, number>>[] {
  return Array.from({ length: slots }, () => {
    const start = area.end;
    let most = start;
    const programs = new Map<string, Map<string, number>>();
    for (const [name, program] of entries) {
      const shared = new Area(start);
      const addresses = new Map<string, number>();
      for (const [tensorName, tensor] of Object.entries(tensorsOf(program))) {
        addresses.set(tensorName, shared.take(bytesOf(program, tensor)));
      }
      programs.set(name, addresses);
      most = Math.max(most, shared.end);
    }
    area.end = most;
    return programs;
  });
}

function takeVariables(area: Area, programs: Readonly<Record<string, Program>>): Map<string, VariablePlace> {
  const variables = new Map<string, VariablePlace>();
  for (const [name, info] of sharedVariables(programs)) {
    const bytes = 4 * sizeOf(info.shape);
    variables.set(name, { ...info, address: area.take(bytes), bytes });
  }
  return variables;
}

function tooLarge(bytes: number, parts: { variables: number; values: number; working: number }): GalvaniError {
  const gib = (n: number) => `${(n / 2 ** 30).toFixed(2)} GiB`;
  return new GalvaniError({
    stage: 'wasm',
    expected: `programs that fit into ${gib(mostBytes)}, the memory of WebAssembly`,
    got: `${gib(bytes)}: ${gib(parts.variables)} of variables, ${gib(parts.values)} of values, ${gib(parts.working)} of working memory`,
    remedy:
      parts.variables > mostBytes / 2
        ? 'Choose --engine tensorflow, or a smaller model: its weights and moments alone do not leave room for a step.'
        : 'Choose a smaller --micro-batch-size or --sequence-length, or --engine tensorflow.',
    kind: 'wrongUse',
  });
}
