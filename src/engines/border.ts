/**
 * What every engine checks before a step touches memory: that each input is there, of its size and type, and that no
 * number in it leads outside a table or a row. Kernels run unchecked behind this line.
 *
 * The rules follow from who reads an input: ids of `embed` address its table, `places` a row, `counts` bound the places
 * in use, `lengths` cut a row. What `replace` passes on must obey what its result must obey.
 */
import { GalvaniError } from '../errors.js';
import { sizeOf } from '../ops/operation.js';
import type { Operation, Program } from '../program/program.js';
import type { Inputs } from './engine.js';

type Rule = (values: Int32Array, all: Inputs) => string | undefined;

export interface InputCheck {
  readonly name: string;
  readonly size: number;
  readonly isFloat: boolean;
  readonly rules: readonly Rule[];
}

/** Everything that `checkInputs` asks of a program's inputs; made once. */
export function inputChecksOf(program: Program): InputCheck[] {
  const rules = rulesOf(program);
  return Object.entries(program.inputs).map(([name, tensor]) => ({
    name,
    size: sizeOf(program.tensors[tensor].shape),
    isFloat: program.tensors[tensor].dtype === 'float32',
    rules: rules.get(tensor) ?? [],
  }));
}

/** @throws GalvaniError that names the input and the first number in it that does not fit. */
export function checkInputs(program: string, checks: readonly InputCheck[], inputs: Inputs): void {
  for (const name of Object.keys(inputs)) {
    if (!checks.some((check) => check.name === name)) {
      throw wrongInput(`inputs ${checks.map((check) => check.name).join(', ')}`, name, program);
    }
  }
  for (const { name, size, isFloat } of checks) {
    const values = inputs[name];
    const kind = isFloat ? 'Float32Array' : 'Int32Array';
    const got = values === undefined ? 'nothing' : `${values.constructor.name} of ${values.length}`;
    if (got !== `${kind} of ${size}`) throw wrongInput(`input ${name} to be ${kind} of ${size}`, got, program);
  }
  for (const { name, rules } of checks) {
    for (const rule of rules) {
      const complaint = rule(inputs[name] as Int32Array, inputs);
      if (complaint !== undefined) throw wrongInput(`input ${name} to hold ${complaint}`, 'another', program);
    }
  }
}

function wrongInput(expected: string, got: string, program: string): GalvaniError {
  return new GalvaniError({
    stage: 'step',
    expected,
    got,
    where: `program ${program}`,
    remedy: 'Give the program a batch that was made for its vocabulary, rows, places and masked places.',
    kind: 'wrongUse',
  });
}

function rulesOf(program: Program): Map<number, Rule[]> {
  const rules = new Map<number, Rule[]>();
  /** Bounds on results that are not inputs themselves: tensor → vocabulary size. */
  const bounds = new Map<number, number>();
  const nameOf = new Map(Object.entries(program.inputs).map(([name, tensor]) => [tensor, name]));
  const add = (tensor: number, rule: Rule) => {
    if (nameOf.has(tensor)) rules.set(tensor, [...(rules.get(tensor) ?? []), rule]);
  };
  const shape = (operation: Operation, position: number) => program.tensors[operation.inputs[position]].shape;

  // Backwards, so that a result's bound is known before the operation that makes it.
  for (const operation of [...program.operations].reverse()) {
    const [first, second, third, fourth, fifth] = operation.inputs;
    if (operation.name === 'embed') {
      bounds.set(first, shape(operation, 3)[0]);
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
    } else if (operation.name === 'scatterRows') {
      add(second, within(Number(operation.attributes.places)));
    } else if (operation.name === 'replace') {
      const most = shape(operation, 1)[1];
      add(fourth, within(most + 1));
      add(second, inUse(within(shape(operation, 0)[1]), most, nameOf.get(fourth)));
      const bound = bounds.get(operation.outputs[0]);
      if (bound !== undefined) {
        bounds.set(first, bound);
        add(first, within(bound));
        add(third, inUse(within(bound), most, nameOf.get(fourth)));
      }
    } else if (operation.name === 'maskedLmHead') {
      const most = shape(operation, 3)[1];
      add(fifth, within(most + 1));
      add(fourth, inUse(within(shape(operation, 1)[0]), most, nameOf.get(fifth)));
    }
  }
  return rules;
}

/** Numbers in [0, bound). */
function within(bound: number): Rule {
  return (values) => {
    for (let i = 0; i < values.length; i++) {
      if (values[i] < 0 || values[i] >= bound) return `numbers in [0, ${bound}), not ${values[i]} at ${i}`;
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
      if (complaint !== undefined) return `${complaint} of row ${row}`;
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
        if (lengths[s] < 0) return `lengths that are not negative, not ${lengths[s]} in row ${row}`;
        sum += lengths[s];
      }
      if (sum > places) return `lengths of at most ${places} a row, not ${sum} in row ${row}`;
    }
    return undefined;
  };
}
