/**
 * A program without the operations that nobody reads: neither an output, nor what a variable becomes, nor another
 * operation that stays. Inputs and variables are what a program is called by and stay in any case.
 */
import { type Operation, type Program, resultsOf } from './program.js';
import { keepOperations } from './rewrite.js';

export function removeDeadCode(program: Program): Program {
  const read = resultsOf(program);
  const kept: Operation[] = [];
  for (const operation of [...program.operations].reverse()) {
    if (!operation.outputs.some((tensor) => read.has(tensor))) continue;
    for (const tensor of operation.inputs) read.add(tensor);
    kept.push(operation);
  }
  return keepOperations(program, kept.reverse(), new Map());
}
