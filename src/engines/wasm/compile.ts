/** One program as a tape: its operations in order, then its outputs to where the host reads them, then what variables become. */

import { Opcode } from '../../../assembly/compute/opcodes.js';
import { GalvaniError } from '../../errors.js';
import { bytesOf, type MemoryPlan } from '../../program/memory.js';
import { type Program, typesOf } from '../../program/program.js';
import { copy, elementCount, type TensorPlace } from './operationCall.js';
import { operationWriters } from './operations/index.js';
import type { PackedRows, Packing, PackingPlan } from './packing.js';
import { absent, type Place, type Ring, reads, TapeWriter, writes } from './tapeWriter.js';

/** Where a program's tensors lie in one of the two slots for jobs in flight. */
export interface Addresses {
  input(name: string): number;
  output(name: string): number;
  variable(name: string): number;
  /** The area that all values share. */
  readonly values: number;
  /** Which rows of a batch are real: packingBytes() of them. */
  readonly packings: number;
  /** Where the number of the first operation goes whose result is not finite; 0 where nobody asks. */
  readonly firstNonFinite: number;
  readonly ring: Ring;
}

/** Numbers of the operations in the tape are those of the program; what comes after has the next. */
export function compileProgram(
  program: Program,
  plan: MemoryPlan,
  { packings, packingOf }: PackingPlan,
  addresses: Addresses,
): TapeWriter {
  const tape = new TapeWriter(addresses.ring);
  const place = placesOf(program, plan, addresses);
  const isFloat32 = ({ tensor }: TensorPlace) => tensor >= 0 && program.tensors[tensor].dtype === 'float32';
  const packed = new Map<Packing | undefined, PackedRows>();
  let address = addresses.packings;
  for (const packing of packings) {
    const rows = packedRowsAt(packing, address);
    packed.set(packing, rows);
    tape.pack(rows, place(packing.lengths));
    address += bytesOfPacking(packing);
  }
  for (const [index, operation] of program.operations.entries()) {
    tape.operation = index;
    const write = operationWriters.get(operation.name);
    if (!write) throw unknownOperation(operation.name);
    const inputs = operation.inputs.map(place);
    const outputs = operation.outputs.map(place);
    const results = addresses.firstNonFinite === 0 ? [] : outputs.filter(isFloat32);
    // What an operation leaves as it finds it, such as statistics of padding, must not be what was there before.
    for (const result of results) if (!inputs.some(({ address }) => address === result.address)) clear(tape, result);
    write({
      tape,
      inputTypes: typesOf(program, operation.inputs),
      outputTypes: typesOf(program, operation.outputs),
      attributes: operation.attributes,
      inputs,
      outputs,
      packed: packed.get(
        packingOf.get([...operation.inputs, ...operation.outputs].find((one) => packingOf.has(one)) ?? -1),
      ),
    });
    for (const result of results) {
      const count = elementCount(packed.get(packingOf.get(result.tensor)), program.tensors[result.tensor].shape);
      tape.put(Opcode.CheckFinite, [reads(result), count, index, addresses.firstNonFinite]);
    }
  }
  tape.operation = program.operations.length;
  for (const [name, tensor] of Object.entries(program.outputs)) {
    const from = place(tensor);
    const to = { address: addresses.output(name), bytes: from.bytes };
    const rows = packed.get(packingOf.get(tensor));
    if (rows) unpack(tape, from, to, rows);
    else copy(tape, from, to);
  }
  // After the outputs: one of them may be what a variable was before.
  for (const [value, variable] of plan.copies) copy(tape, place(value), place(variable));
  return tape;
}

function clear(tape: TapeWriter, place: Place): void {
  tape.put(Opcode.Fill, [writes(place), place.bytes / 4, { float32: 0 }]);
}

/** Bytes of all that a program's tape works out from lengths. */
export function packingBytes({ packings }: PackingPlan): number {
  return packings.reduce((sum, packing) => sum + bytesOfPacking(packing), 0);
}

function bytesOfPacking({ rows, places }: Packing): number {
  return 4 * (rows + 1 + rows * places);
}

function packedRowsAt(packing: Packing, address: number): PackedRows {
  const firsts = { address, bytes: 4 * (packing.rows + 1) };
  return {
    packing,
    firsts,
    origins: { address: address + firsts.bytes, bytes: bytesOfPacking(packing) - firsts.bytes },
  };
}

function unpack(tape: TapeWriter, from: Place, to: Place, { packing: { rows, places }, firsts }: PackedRows): void {
  const bytes = from.bytes / (rows * places);
  tape.put(Opcode.UnpackPlaces, [reads(from), writes(to), reads(firsts), rows, places, bytes]);
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
