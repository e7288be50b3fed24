/** The global norm: partial sums of all gradients side by side, then one thread adds them in order. */
import { Block, Opcode } from '../../../../assembly/compute/opcodes.js';
import { sizeOf } from '../../../ops/operation.js';
import type { OperationCall } from '../operationCall.js';
import { reads, writes } from '../tapeWriter.js';

export function writeGlobalNorm({ tape, inputTypes, inputs, outputs: [norm] }: OperationCall): void {
  const units = inputTypes.map(({ shape }) => Math.ceil(sizeOf(shape) / Block.Squares));
  const total = units.reduce((sum, count) => sum + count, 0);
  const partialSums = tape.temporary(total * 8);
  let address = partialSums.address;
  for (const [i, gradient] of inputs.entries()) {
    const bytes = units[i] * 8;
    tape.put(Opcode.Squares, [reads(gradient), sizeOf(inputTypes[i].shape), writes({ address, bytes })]);
    address += bytes;
  }
  tape.put(Opcode.Norm, [reads(partialSums), total, writes(norm)], 'sole');
}

export function writeClip({ tape, inputs: [norm], outputs: [factor], attributes }: OperationCall): void {
  tape.put(Opcode.Clip, [reads(norm), writes(factor), { float32: Number(attributes.maxNorm) }], 'sole');
}
