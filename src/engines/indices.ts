/**
 * What an engine checks in a batch before kernels, which run unchecked, use its numbers as addresses.
 *
 * Every operation says what its own inputs must be (`indices` of src/ops); here it is found out which inputs of the
 * program that is about. A bound on numbers that an operation passes on is a bound on what it makes them from.
 */
import { type Complaint, GalvaniError } from '../errors.js';
import { operations } from '../ops/index.js';
import type { IndexRule } from '../ops/operation.js';
import { type Program, typesOf } from '../program/program.js';
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

/** Rules by the tensor of an input. */
function rulesOf(program: Program): Map<number, Rule[]> {
  /** By tensor and by what they say, since a model asks for the same in every layer. */
  const rules = new Map<number, Map<string, Rule>>();
  /** Tensor → what its numbers must lie below for all who use them as addresses. */
  const bounds = new Map<number, number>();
  const nameOf = new Map(Object.entries(program.inputs).map(([name, tensor]) => [tensor, name]));

  // Backwards, so that a result's bound is known before the operation that makes it.
  for (const { name, inputs, outputs, attributes } of [...program.operations].reverse()) {
    const own = operations.get(name)?.indices?.({
      inputs: typesOf(program, inputs),
      attributes,
      outputBounds: outputs.map((tensor) => bounds.get(tensor)),
    });
    for (const [position, rule] of Object.entries(own ?? {})) {
      if (rule === undefined) continue;
      const tensor = inputs[Number(position)];
      if ('below' in rule && rule.inUse === undefined) {
        bounds.set(tensor, Math.min(rule.below, bounds.get(tensor) ?? rule.below));
      }
      if (!nameOf.has(tensor)) continue;
      const counts = 'below' in rule && rule.inUse !== undefined ? nameOf.get(inputs[rule.inUse]) : undefined;
      const known = rules.get(tensor) ?? new Map<string, Rule>();
      known.set(JSON.stringify([rule, counts]), checkOf(rule, program.tensors[tensor].shape[1], counts));
      rules.set(tensor, known);
    }
  }
  return new Map([...rules].map(([tensor, known]) => [tensor, [...known.values()]]));
}

/** The check of an input with so many numbers a row, of which another input says how many are in use. */
function checkOf(rule: IndexRule, numbersARow: number, counts: string | undefined): Rule {
  if ('segmentsIn' in rule) return segments(rule.segmentsIn, numbersARow);
  return counts === undefined ? within(rule.below) : inUse(within(rule.below), numbersARow, counts);
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

/** The rule for the first counts[row] of `most` numbers of each row. */
function inUse(rule: Rule, most: number, counts: string): Rule {
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
