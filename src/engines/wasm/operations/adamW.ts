/** One entry a parameter; none waits for another, so the whole update runs without a barrier. */
import { Opcode } from '../../../../assembly/compute/opcodes.js';
import type { AdamWAttributes } from '../../../ops/adamW.js';
import { sizeOf } from '../../../ops/operation.js';
import type { OperationCall } from '../operationCall.js';
import { reads, writes } from '../tapeWriter.js';

export function writeAdamW({ tape, inputTypes, inputs, outputs, attributes }: OperationCall): void {
  const { beta1, beta2, epsilon, epsilonInRoot, weightDecay, rateFactor, biasCorrection } =
    attributes as AdamWAttributes;
  tape.put(Opcode.AdamW, [
    ...inputs.map(reads),
    ...outputs.map(writes),
    sizeOf(inputTypes[0].shape),
    epsilonInRoot ? 1 : 0,
    biasCorrection ? 1 : 0,
    { float64: beta1 },
    { float64: beta2 },
    { float32: epsilon },
    { float32: rateFactor },
    { float32: weightDecay },
  ]);
}
