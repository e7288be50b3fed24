/** A program as a table that a person can read from top to bottom, with what each operation costs. */
import { operations } from '../ops/index.js';
import { describeType } from '../ops/operation.js';
import { bytesOf, planMemory } from './memory.js';
import { type Operation, type Program, typesOf } from './program.js';

export interface OperationCost {
  /** Floating-point operations; a multiply-add is two. */
  readonly flops: number;
  /** Bytes read and written if every input and output crosses memory once. */
  readonly bytes: number;
}

export function costOf(program: Program, operation: Operation): OperationCost {
  const definition = operations.get(operation.name);
  if (!definition) throw new Error(`internal: operation ${operation.name} is not known`);
  const inputs = typesOf(program, operation.inputs);
  const outputs = typesOf(program, operation.outputs);
  const touched = [...operation.inputs.filter((tensor) => tensor >= 0), ...operation.outputs];
  return {
    flops: definition.flops(inputs, outputs, operation.attributes),
    bytes: touched.reduce((sum, tensor) => sum + bytesOf(program, tensor), 0),
  };
}

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
