/**
 * A program in which nothing is computed twice: an operation with the name, attributes and inputs of an earlier one is
 * left out, and its outputs are the earlier one's. An operation has no effects and draws by its attributes (the stream)
 * and inputs (the counter) alone, so two that are equal in these give the same.
 */
import type { Operation, Program } from './program.js';
import { keepOperations } from './rewrite.js';

export function shareCommonSubexpressions(program: Program): Program {
  const known = new Map<string, Operation>();
  const renamed = new Map<number, number>();
  const kept = program.operations.filter((operation) => {
    const inputs = operation.inputs.map((tensor) => renamed.get(tensor) ?? tensor);
    const key = JSON.stringify([operation.name, inputs, Object.entries(operation.attributes).sort()]);
    const earlier = known.get(key);
    if (!earlier) known.set(key, operation);
    else for (const [i, tensor] of operation.outputs.entries()) renamed.set(tensor, earlier.outputs[i]);
    return !earlier;
  });
  return keepOperations(program, kept, renamed);
}
