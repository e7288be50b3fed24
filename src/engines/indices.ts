/**
 * What an engine checks in a batch before kernels, which run unchecked, use its numbers as addresses.
 *
 * The rules follow from who reads an input: ids of `embed` address its table, `places` a row, `counts` bound the places
 * in use, `lengths` cut a row. What `replace` passes on must obey what its result must obey.
 */
import { type Complaint, GalvaniError } from '../errors.js';
import type { Operation, Program } from '../program/program.js';
import type { Inputs } from './engine.js';

/** What is wrong with the values, if anything. */
type Rule = (values: Int32Array, all: Inputs) => Complaint | undefined;

export type IndexRules = ReadonlyMap<string, readonly Rule[]>;

/** Rules by the name of an input; made once a program. */
export function indexRulesOf(program: Program): IndexRules {
  const rules = rulesOf(program);
  return new Map(Object.entries(program.inputs).map(([name, tensor]) => [name, rules.get(tensor) ?? []]));
}

/** Inputs are there and of their types (`checkInputs` of programs.ts). @throws GalvaniError that names the first wrong number. */
export function checkIndices(program: string, rules: IndexRules, inputs: Inputs): void {
  for (const [name, own] of rules) {
    for (const rule of own) {
      const complaint = rule(inputs[name] as Int32Array, inputs);
      if (complaint === undefined) continue;
      throw new GalvaniError({
        stage: 'step',
        expected: `input ${name} to hold ${complaint.expected}`,
        got: complaint.got,
        where: `program ${program}`,
        remedy: 'Make the batch for the vocabulary, rows, places and masked places that the program was built for.',
        kind: 'wrongUse',
      });
    }
  }
}

function rulesOf(program: Program): Map<number, Rule[]> {
  const rules = new Map<number, Rule[]>();
  /** Bounds on ids, also where they are no inputs themselves: tensor → the smallest vocabulary that they look up. */
  const bounds = new Map<number, number>();
  const nameOf = new Map(Object.entries(program.inputs).map(([name, tensor]) => [tensor, name]));
  const add = (tensor: number, rule: Rule) => {
    if (nameOf.has(tensor)) rules.set(tensor, [...(rules.get(tensor) ?? []), rule]);
  };
  const bound = (tensor: number, pieces: number) => bounds.set(tensor, Math.min(pieces, bounds.get(tensor) ?? pieces));
  const shape = (operation: Operation, position: number) => program.tensors[operation.inputs[position]].shape;

  // Backwards, so that a result's bound is known before the operation that makes it.
  for (const operation of [...program.operations].reverse()) {
    const [first, second, third, fourth, fifth] = operation.inputs;
    if (operation.name === 'embed') {
      bound(first, shape(operation, 3)[0]);
      add(first, within(shape(operation, 3)[0]));
      add(second, segments(shape(operation, 0)[1], shape(operation, 1)[1]));
    } else if (operation.name === 'embedGradient') {
      add(first, within(Number(operation.attributes.pieces)));
      add(second, segments(shape(operation, 0)[1], shape(operation, 1)[1]));
    } else if (operation.name === 'attention') {
      add(fourth, segments(shape(operation, 0)[1], shape(operation, 3)[1]));
    } else if (operation.name === 'binaryCrossEntropy') {
      add(third, segments(shape(operation, 1)[1], shape(operation, 2)[1]));
    } else if (operation.name === 'gatherRows') {
      add(second, within(shape(operation, 0)[1]));
    } else if (operation.name === 'gatherIds') {
      add(second, within(shape(operation, 0)[1]));
      const pieces = bounds.get(operation.outputs[0]);
      if (pieces !== undefined) add(first, within(pieces));
    } else if (operation.name === 'scatterRows') {
      add(second, within(Number(operation.attributes.places)));
    } else if (operation.name === 'replace') {
      const most = shape(operation, 1)[1];
      add(fourth, within(most + 1));
      add(second, inUse(within(shape(operation, 0)[1]), most, nameOf.get(fourth)));
      const pieces = bounds.get(operation.outputs[0]);
      if (pieces !== undefined) {
        bound(first, pieces);
        add(first, within(pieces));
        add(third, inUse(within(pieces), most, nameOf.get(fourth)));
      }
    } else if (operation.name === 'maskedLmHead') {
      const most = shape(operation, 3)[1];
      add(fifth, within(most + 1));
      bound(fourth, shape(operation, 1)[0]);
      add(fourth, within(shape(operation, 1)[0]));
    }
  }
  return rules;
}

/** Numbers in [0, bound). */
function within(bound: number): Rule {
  return (values) => {
    for (let i = 0; i < values.length; i++) {
      if (values[i] < 0 || values[i] >= bound)
        return { expected: `numbers in [0, ${bound})`, got: `${values[i]} at ${i}` };
    }
    return undefined;
  };
}

/** The rule for the first counts[row] of `most` numbers of each row; all of them where counts is no input. */
function inUse(rule: Rule, most: number, counts: string | undefined): Rule {
  if (counts === undefined) return rule;
  return (values, all) => {
    const used = all[counts] as Int32Array;
    for (let row = 0; row < used.length; row++) {
      const complaint = rule(values.subarray(row * most, row * most + used[row]), all);
      if (complaint !== undefined) return { ...complaint, got: `${complaint.got} of row ${row}` };
    }
    return undefined;
  };
}

/** Lengths of segments that fit into their row. */
function segments(places: number, segmentsARow: number): Rule {
  return (lengths) => {
    for (let row = 0; row < lengths.length / segmentsARow; row++) {
      let sum = 0;
      for (let s = row * segmentsARow; s < (row + 1) * segmentsARow; s++) {
        if (lengths[s] < 0) return { expected: 'lengths that are not negative', got: `${lengths[s]} in row ${row}` };
        sum += lengths[s];
      }
      if (sum > places) return { expected: `lengths of at most ${places} a row`, got: `${sum} in row ${row}` };
    }
    return undefined;
  };
}
