/** One program as a tape: its operations in order, then its outputs to where the host reads them, then what variables become. */
import { GalvaniError } from '../../errors.js';
import { bytesOf, type MemoryPlan } from '../../program/memory.js';
import { type Program, typesOf } from '../../program/program.js';
import { copy, type TensorPlace } from './operationCall.js';
import { operationWriters } from './operations/index.js';
import { absent, type Ring, TapeWriter } from './tapeWriter.js';

/** Where a program's tensors lie in one of the two slots for jobs in flight. */
export interface Addresses {
  input(name: string): number;
  output(name: string): number;
  variable(name: string): number;
  /** The area that all values share. */
  readonly values: number;
  readonly ring: Ring;
}

/** Numbers of the operations in the tape are those of the program; what comes after has the next. */
export function compileProgram(program: Program, plan: MemoryPlan, addresses: Addresses): TapeWriter {
  const tape = new TapeWriter(addresses.ring);
  const place = placesOf(program, plan, addresses);
  for (const [index, operation] of program.operations.entries()) {
    tape.operation = index;
    const write = operationWriters.get(operation.name);
    if (!write) throw unknownOperation(operation.name);
    write({
      tape,
      inputTypes: typesOf(program, operation.inputs),
      outputTypes: typesOf(program, operation.outputs),
      attributes: operation.attributes,
      inputs: operation.inputs.map(place),
      outputs: operation.outputs.map(place),
    });
  }
  tape.operation = program.operations.length;
  for (const [name, tensor] of Object.entries(program.outputs)) {
    const from = place(tensor);
    copy(tape, from, { address: addresses.output(name), bytes: from.bytes });
  }
  // After the outputs: one of them may be what a variable was before.
  for (const [value, variable] of plan.copies) copy(tape, place(value), place(variable));
  return tape;
}

function placesOf(program: Program, plan: MemoryPlan, addresses: Addresses): (tensor: number) => TensorPlace {
  const nameOf = new Map<number, string>();
  for (const [name, tensor] of Object.entries(program.inputs)) nameOf.set(tensor, name);
  for (const [name, { tensor }] of Object.entries(program.variables)) nameOf.set(tensor, name);
  return (tensor) => {
    if (tensor < 0) return { ...absent, tensor };
    const bytes = bytesOf(program, tensor);
    const home = plan.inVariable[tensor] >= 0 ? plan.inVariable[tensor] : tensor;
    const name = nameOf.get(home) ?? '';
    const { kind } = program.tensors[home];
    if (kind === 'variable') return { address: addresses.variable(name), bytes, tensor };
    if (kind === 'input') return { address: addresses.input(name), bytes, tensor };
    return { address: addresses.values + plan.offsets[tensor], bytes, tensor };
  };
}

function unknownOperation(name: string): GalvaniError {
  return new GalvaniError({
    stage: 'wasm',
    expected: 'operations that the wasm engine has kernels for',
    got: name,
    remedy: 'Use the reference engine, or add the operation to src/engines/wasm/operations.',
  });
}
