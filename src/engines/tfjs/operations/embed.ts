/** Look-ups of three tables, and their gradients: the rows of real tokens, added up by what they looked up. */
import { add, gather, reshape, type Tensor, type Tensor1D, tensor1d, zeros } from '@tensorflow/tfjs-core';
import { segmentsOf } from '../../../ops/segments.js';
import { asRows, type OperationCall, plus } from '../operationCall.js';
import { keepRows, sumByRow } from '../rows.js';

export function embed(call: OperationCall): Tensor[] {
  const [ids, , , words, positions, types] = call.inputs;
  const [rows, places] = call.inputTypes[0].shape;
  const isReal = new Array<boolean>(rows * places).fill(false);
  const positionOf = new Int32Array(rows * places);
  const typeOf = new Int32Array(rows * places);
  for (const { at, position, type } of tokensOf(call)) {
    isReal[at] = true;
    positionOf[at] = position;
    typeOf[at] = type;
  }
  const word = gather(words, reshape(ids, [-1]) as Tensor1D);
  const sum = add(add(word, gather(positions, asNumbers(positionOf))), gather(types, asNumbers(typeOf)));
  return [keepRows(asRows(sum), isReal)];
}

export function embedGradient(call: OperationCall): Tensor[] {
  const [ids, , , dy] = call.inputs;
  const tokens = [...tokensOf(call)];
  const counts = call.outputTypes.map(({ shape }) => shape[0]);
  const width = call.outputTypes[0].shape[1];
  if (tokens.length === 0) return counts.map((count, i) => plus(zeros([count, width]), call.inputs[4 + i]));
  const at = asNumbers(tokens.map((token) => token.at));
  const real = asRows(gather(asRows(dy), at));
  const numbers = [
    gather(reshape(ids, [-1]) as Tensor1D, at),
    asNumbers(tokens.map(({ position }) => position)),
    asNumbers(tokens.map(({ type }) => type)),
  ];
  return numbers.map((by, i) => plus(sumByRow(real, by, counts[i]), call.inputs[4 + i]));
}

interface Token {
  /** Place in (B · T). */
  readonly at: number;
  /** Place in its segment. */
  readonly position: number;
  readonly type: 0 | 1;
}

/** Every token that is not padding. */
function* tokensOf({ inputTypes, host }: OperationCall): Generator<Token> {
  const places = inputTypes[0].shape[1];
  const lengths = host(1) as Int32Array;
  const seconds = host(2) as Int32Array;
  for (const { row, start, length, second } of segmentsOf(lengths, seconds, inputTypes[1].shape[1])) {
    for (let position = 0; position < length; position++) {
      yield { at: row * places + start + position, position, type: position < second ? 0 : 1 };
    }
  }
}

function asNumbers(values: Int32Array | readonly number[]): Tensor1D {
  return tensor1d(Int32Array.from(values), 'int32');
}
