/** What passes over a program have in common: some operations stay, some tensors are others now, and numbers have no gaps. */
import type { Operation, Program, TensorInfo, Variable } from './program.js';

/** The program of these of its operations, in which a tensor that is in `renamed` is the other. */
export function keepOperations(
  program: Program,
  operations: readonly Operation[],
  renamed: ReadonlyMap<number, number>,
): Program {
  const written = new Set(operations.flatMap(({ outputs }) => outputs));
  const tensors: TensorInfo[] = [];
  const numbers = program.tensors.map((info, tensor) =>
    info.kind === 'value' && !written.has(tensor) ? -1 : tensors.push(info) - 1,
  );
  const numberOf = (tensor: number) => (tensor < 0 ? tensor : numbers[renamed.get(tensor) ?? tensor]);
  const variableOf = ({ role, tensor, assigned }: Variable): Variable =>
    assigned === undefined
      ? { role, tensor: numberOf(tensor) }
      : { role, tensor: numberOf(tensor), assigned: numberOf(assigned) };
  return {
    tensors,
    operations: operations.map((operation) => ({
      ...operation,
      inputs: operation.inputs.map(numberOf),
      outputs: operation.outputs.map(numberOf),
    })),
    inputs: mapValues(program.inputs, numberOf),
    variables: mapValues(program.variables, variableOf),
    outputs: mapValues(program.outputs, numberOf),
  };
}

function mapValues<T, U>(record: Readonly<Record<string, T>>, f: (value: T) => U): Record<string, U> {
  return Object.fromEntries(Object.entries(record).map(([name, value]) => [name, f(value)]));
}
