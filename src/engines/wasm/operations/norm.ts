/** Layer normalisation, with and without dropout and residual, and its gradients. */
import { Opcode } from '../../../../assembly/compute/opcodes.js';
import { lastOf, rowsOf } from '../../../ops/operation.js';
import { type OperationCall, originsOf, rowCount, rowSums } from '../operationCall.js';
import { absent, reads, writes } from '../tapeWriter.js';
import { decisionBytes, dropoutArguments } from './dropout.js';

export function writeLayerNorm({ tape, inputTypes, inputs, outputs, attributes, packed }: OperationCall): void {
  const { shape } = inputTypes[0];
  tape.put(Opcode.LayerNorm, [
    ...inputs.slice(0, 3).map(reads),
    ...outputs.map(writes),
    rowCount(packed, shape),
    lastOf(shape),
    { float32: Number(attributes.epsilon) },
  ]);
}

export function writeAddNorm({ tape, inputTypes, inputs, outputs, attributes, packed }: OperationCall): void {
  const { shape } = inputTypes[0];
  tape.needScratch(decisionBytes(lastOf(shape)));
  tape.put(Opcode.AddNorm, [
    ...inputs.slice(0, 5).map(reads),
    ...outputs.map(writes),
    rowCount(packed, shape),
    lastOf(shape),
    rowsOf(shape) / shape[0],
    ...dropoutArguments(attributes),
    { float32: Number(attributes.epsilon) },
    originsOf(packed),
  ]);
}

export function writeLayerNormGradient({ tape, inputTypes, inputs, outputs, packed }: OperationCall): void {
  const { shape } = inputTypes[0];
  tape.put(Opcode.LayerNormGradient, [
    ...inputs.map(reads),
    ...outputs.map(writes),
    rowCount(packed, shape),
    lastOf(shape),
  ]);
}

export function writeLayerNormParameterGradient({ tape, inputTypes, inputs, outputs, packed }: OperationCall): void {
  const { shape } = inputTypes[0];
  const [dy, x, mean, inverse, previousGamma, previousBeta] = inputs;
  tape.put(Opcode.LayerNormParameterGradient, [
    ...[dy, x, mean, inverse, previousGamma ?? absent, previousBeta ?? absent].map(reads),
    ...outputs.map(writes),
    rowCount(packed, shape),
    lastOf(shape),
    ...rowSums(tape, shape, 2),
  ]);
}
