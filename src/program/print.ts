/** A program as a table that a person can read from top to bottom, with what each operation costs. */
import { operations } from '../ops/index.js';
import { describeType, sizeOf, type TensorType } from '../ops/operation.js';
import { planMemory } from './memory.js';
import type { Operation, Program } from './program.js';

export interface OperationCost {
  /** Floating-point operations; a multiply-add is two. */
  readonly flops: number;
  /** Bytes read and written if every input and output crosses memory once. */
  readonly bytes: number;
}

/**
 * What an operation costs. tensors: types of what is computed, by tensor; the program's own have every place of every
 * row. lengths: of the segments that it stays inside of, where they are known.
 */
export function costOf(
  program: Program,
  operation: Operation,
  tensors: readonly TensorType[] = program.tensors,
  lengths?: ArrayLike<number>,
): OperationCost {
  const definition = operations.get(operation.name);
  if (!definition) throw new Error(`internal: operation ${operation.name} is not known`);
  const [inputs, outputs] = [operation.inputs, operation.outputs].map((list) => list.map((tensor) => tensors[tensor]));
  const touched = [...inputs, ...outputs].filter((type) => type !== undefined);
  return {
    flops: definition.flops(inputs, outputs, operation.attributes, lengths),
    bytes: touched.reduce((sum, { shape }) => sum + 4 * sizeOf(shape), 0),
  };
}

/** Of rows that are full. */
export function flopsOf(program: Program): number {
  return program.operations.reduce((sum, operation) => sum + costOf(program, operation).flops, 0);
}

export function printProgram(program: Program): string {
  const lines: string[] = [];
  for (const [name, tensor] of Object.entries(program.inputs))
    lines.push(`input     ${describe(program, tensor)} ${name}`);
  for (const [name, { tensor, role }] of Object.entries(program.variables)) {
    lines.push(`${role.padEnd(9)} ${describe(program, tensor)} ${name}`);
  }
  for (const [index, operation] of program.operations.entries()) {
    const { flops, bytes } = costOf(program, operation);
    const attributes = Object.entries(operation.attributes)
      .sort()
      .map(([name, value]) => ` ${name}=${value}`);
    const inputs = operation.inputs.map((tensor) => (tensor < 0 ? '–' : `%${tensor}`)).join(' ');
    const outputs = operation.outputs.map((tensor) => describe(program, tensor)).join(', ');
    lines.push(
      `${String(index).padStart(5)} ${(flops / 1e6).toFixed(2).padStart(10)} MFLOP ${(bytes / 1024).toFixed(0).padStart(8)} KiB  ` +
        `${outputs} = ${operation.name}(${inputs})${attributes.join('')}  # ${operation.scope}`,
    );
  }
  for (const [name, { tensor, assigned }] of Object.entries(program.variables)) {
    if (assigned !== undefined) lines.push(`assign    %${tensor} = %${assigned} ${name}`);
  }
  for (const [name, tensor] of Object.entries(program.outputs))
    lines.push(`output    ${describe(program, tensor)} ${name}`);
  lines.push(
    `total     ${(flopsOf(program) / 1e6).toFixed(2)} MFLOP, ${program.operations.length} operations, ` +
      `${(planMemory(program).bytes / 2 ** 20).toFixed(2)} MiB of values`,
  );
  return `${lines.join('\n')}\n`;
}

function describe(program: Program, tensor: number): string {
  return `%${tensor}:${describeType(program.tensors[tensor])}`;
}
