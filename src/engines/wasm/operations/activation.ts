/** dPre = dy · activation′(pre) and y = activation(pre), a unit of elements after another. */
import { Opcode } from '../../../../assembly/compute/opcodes.js';
import type { Activation } from '../../../ops/activation.js';
import { copy, elementCount, type OperationCall } from '../operationCall.js';
import { reads, writes } from '../tapeWriter.js';
import { activationNumbers } from './matrix.js';

export function writeActivationGradient({
  tape,
  inputTypes,
  inputs,
  outputs,
  attributes,
  packed,
}: OperationCall): void {
  const activation = attributes.activation as Activation;
  if (activation === 'none') {
    for (const [i, output] of outputs.entries()) copy(tape, inputs[i], output);
    return;
  }
  tape.put(Opcode.ActivationGradient, [
    reads(inputs[0]),
    reads(inputs[1]),
    writes(outputs[0]),
    writes(outputs[1]),
    elementCount(packed, inputTypes[0].shape),
    activationNumbers[activation],
  ]);
}
