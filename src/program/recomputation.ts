/**
 * A program that keeps less for its backward pass: where an operation makes a value again beside what it computes anyway,
 * those that need the value late wait for that and read it, so that the value need not be kept until then. An operation
 * can wait if nothing before that needs its results; a weight's gradient can.
 */
import { type Operation, type Program, resultsOf } from './program.js';

/** `remade`: pairs of a value and what is the same once more. */
export function readRemade(program: Program, remade: readonly (readonly [number, number])[]): Program {
  const kept = resultsOf(program);
  const operations = [...program.operations];
  for (const [value, again] of remade) if (!kept.has(value)) deferReaders(operations, value, again);
  return { ...program, operations };
}

/** From the last reader of `value` back to the first that cannot wait: all read `again`, behind what makes it. */
function deferReaders(operations: Operation[], value: number, again: number): void {
  let maker = operations.findIndex(({ outputs }) => outputs.includes(again));
  const needed = new Set(operations[maker].inputs);
  for (let at = operations.length - 1; at >= 0; at--) {
    const operation = operations[at];
    const isReader = operation.inputs.includes(value);
    if (!isReader && at < maker) for (const tensor of operation.inputs) needed.add(tensor);
    if (!isReader) continue;
    if (operation.outputs.some((tensor) => needed.has(tensor))) return;
    operations.splice(at, 1);
    if (at < maker) maker--;
    const inputs = operation.inputs.map((tensor) => (tensor === value ? again : tensor));
    operations.splice(Math.max(at, maker + 1), 0, { ...operation, inputs });
  }
}
