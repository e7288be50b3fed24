/**
 * Reverse mode: walks the operations backwards and appends, for each, what its gradient rule asks for.
 *
 * A tensor with several uses gets one gradient: rules that can add to a target (`accumulates`) are handed what is
 * there already, for the others, and where one operation takes a tensor twice, an `add` is appended. Operations that do not lie between a parameter and the objective
 * are passed over; integers carry no gradient, so sampling stops it by itself.
 */
import { add, constant } from '../ops/arithmetic.js';
import { operations } from '../ops/index.js';
import type { Tensor } from '../ops/operation.js';
import type { ProgramBuilder } from './builder.js';
import type { Operation } from './program.js';

export function appendGradients(
  build: ProgramBuilder,
  objective: Tensor,
  parameters: readonly Tensor[],
  previous: readonly (Tensor | undefined)[] = [],
): (Tensor | undefined)[] {
  const forward = [...build.operations];
  const dependent = tensorsThatDepend(forward, parameters);
  const gradients = new Map<number, Tensor>();
  for (const [i, tensor] of previous.entries()) if (tensor) gradients.set(parameters[i].id, tensor);
  gradients.set(objective.id, constant(build, 1));

  for (const operation of forward.reverse()) {
    const outputGradients = operation.outputs.map((id) => gradients.get(id));
    const needed = operation.inputs.map((id) => dependent.has(id));
    if (outputGradients.every((gradient) => gradient === undefined) || !needed.includes(true)) continue;
    build.inScope(operation.scope, () => appendOne(build, operation, needed, outputGradients, gradients));
  }
  return parameters.map(({ id }) => gradients.get(id));
}

function appendOne(
  build: ProgramBuilder,
  operation: Operation,
  needed: readonly boolean[],
  outputGradients: readonly (Tensor | undefined)[],
  gradients: Map<number, Tensor>,
): void {
  const definition = operations.get(operation.name);
  if (!definition?.gradient) throw new Error(`internal: operation ${operation.name} has no gradient rule`);
  const previous = operation.inputs.map((id, i) => {
    const accumulates = needed[i] && definition.accumulates?.includes(i) && operation.inputs.indexOf(id) === i;
    return accumulates ? gradients.get(id) : undefined;
  });
  const results = definition.gradient({
    build,
    inputs: operation.inputs.map((id) => (id < 0 ? undefined : build.tensor(id))) as Tensor[],
    outputs: operation.outputs.map((id) => build.tensor(id)),
    attributes: operation.attributes,
    outputGradients,
    needed,
    previous,
    remade: (output, again) => build.remade(operation.outputs[output], again.id),
  });
  for (const [i, result] of results.entries()) {
    if (!needed[i] || !result) continue;
    const id = operation.inputs[i];
    const known = previous[i] ? undefined : gradients.get(id);
    gradients.set(id, known ? add(build, known, result) : result);
  }
}

/** Float tensors whose value some parameter has a part in. */
function tensorsThatDepend(forward: readonly Operation[], parameters: readonly Tensor[]): Set<number> {
  const dependent = new Set(parameters.map((parameter) => parameter.id));
  for (const operation of forward) {
    if (operation.inputs.some((id) => dependent.has(id))) for (const id of operation.outputs) dependent.add(id);
  }
  return dependent;
}
