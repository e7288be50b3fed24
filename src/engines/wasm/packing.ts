/**
 * Which values of a program are computed for real places alone (assembly/compute/packing.ts). It follows from the
 * program: an operation computes each place of what its definition names (`places`) by itself or sums over places, so
 * all of that is packed or none of it. What operations join is packed where one of them brings the lengths that say what
 * is real, and nothing else reads or writes it: program inputs, variables, and whatever an operation without such a rule
 * touches stay as they are. Outputs of the program are unpacked, with zeros for padding.
 */
import { operations } from '../../ops/index.js';
import { type Shape, sizeOf } from '../../ops/operation.js';
import { costOf, type OperationCost } from '../../program/print.js';
import type { Operation, Program } from '../../program/program.js';
import type { Inputs } from '../engine.js';
import type { Place } from './tapeWriter.js';

/** One batch's real places. */
export interface Packing {
  /** The program input that says what is real, int32 (rows, segments). */
  readonly lengths: number;
  readonly rows: number;
  readonly places: number;
  readonly segments: number;
}

export interface PackingPlan {
  readonly packings: readonly Packing[];
  /** By tensor; undefined where padding is computed too. */
  readonly packingOf: ReadonlyMap<number, Packing>;
}

/** What a packing is known by when a step runs: assembly/compute/packing.ts. */
export interface PackedRows {
  readonly firsts: Place;
  readonly origins: Place;
  readonly packing: Packing;
}

export function planPacking(program: Program): PackingPlan {
  const groups = new Groups(program.tensors.length);
  const fixed = new Set<number>();
  const lengthsOf = new Map<number, Set<number>>();
  const { tensors } = program;
  for (const [tensor, { kind }] of tensors.entries()) if (kind !== 'value') fixed.add(tensor);
  for (const { assigned } of Object.values(program.variables)) if (assigned !== undefined) fixed.add(assigned);
  for (const operation of program.operations) {
    const { inputs, outputs, lengths } = placesRuleOf(operation);
    const joined = [
      ...inputs.map((at) => operation.inputs[at] ?? -1),
      ...outputs.map((at) => operation.outputs[at] ?? -1),
    ].filter((tensor) => tensor >= 0);
    for (const tensor of joined) groups.join(joined[0], tensor);
    if (lengths !== undefined && joined.length > 0) {
      lengthsOf.set(joined[0], (lengthsOf.get(joined[0]) ?? new Set()).add(operation.inputs[lengths]));
    }
    for (const [at, tensor] of operation.inputs.entries()) if (!inputs.includes(at)) fixed.add(tensor);
    for (const [at, tensor] of operation.outputs.entries()) if (!outputs.includes(at)) fixed.add(tensor);
  }

  const members = new Map<number, number[]>();
  for (const tensor of tensors.keys()) {
    const group = groups.of(tensor);
    members.set(group, [...(members.get(group) ?? []), tensor]);
  }
  const packings: Packing[] = [];
  const packingOf = new Map<number, Packing>();
  for (const own of members.values()) {
    const lengths = [...new Set(own.flatMap((tensor) => [...(lengthsOf.get(tensor) ?? [])]))];
    if (lengths.length !== 1 || own.some((tensor) => fixed.has(tensor)) || tensors[lengths[0]].kind !== 'input')
      continue;
    const [rows, segments] = tensors[lengths[0]].shape;
    const places = placesIn(
      own.map((tensor) => tensors[tensor].shape),
      rows,
    );
    if (places === undefined) continue;
    let packing = packings.find((other) => other.lengths === lengths[0] && other.places === places);
    if (!packing) {
      packing = { lengths: lengths[0], rows, places, segments };
      packings.push(packing);
    }
    for (const tensor of own) packingOf.set(tensor, packing);
  }
  return { packings, packingOf };
}

/** What each operation costs on these inputs: of what is packed the real rows alone, of attention what lies inside of segments. */
export function costsOn(program: Program, { packings, packingOf }: PackingPlan, inputs: Inputs): OperationCost[] {
  const { tensors } = program;
  const valuesOf = new Map(Object.entries(program.inputs).map(([name, tensor]) => [tensor, inputs[name]]));
  const realRows = new Map(
    packings.map((packing) => [packing, Int32Array.from(valuesOf.get(packing.lengths)!).reduce((a, b) => a + b, 0)]),
  );
  const computed = tensors.map((type, tensor) => {
    const real = realRows.get(packingOf.get(tensor)!);
    if (real === undefined) return type;
    return { ...type, shape: type.shape.length > 1 ? [1, real, ...type.shape.slice(2)] : [real] };
  });
  return program.operations.map((operation) => {
    const at = operations.get(operation.name)?.places?.lengths;
    return costOf(program, operation, computed, at === undefined ? undefined : valuesOf.get(operation.inputs[at]));
  });
}

/** As positions; none where nothing goes place by place. */
function placesRuleOf({ name, inputs }: Operation) {
  const rule = operations.get(name)?.places;
  if (!rule || (rule.lengths !== undefined && inputs[rule.lengths] < 0)) return { inputs: [], outputs: [] };
  return { ...rule, inputs: rule.inputs === 'all' ? [...inputs.keys()] : rule.inputs };
}

/** T, where every shape is (rows, T, …) or, as a norm's statistics are, (rows · T). */
function placesIn(shapes: readonly Shape[], rows: number): number | undefined {
  const places = shapes.find((shape) => shape.length > 1)?.[1];
  const fits = (shape: Shape) =>
    shape.length > 1
      ? shape[0] === rows && shape[1] === places
      : places !== undefined && sizeOf(shape) === rows * places;
  return shapes.every(fits) ? places : undefined;
}

/** Sets that grow together: union by the smaller number, with paths halved. */
class Groups {
  readonly #parents: number[];

  constructor(size: number) {
    this.#parents = Array.from({ length: size }, (_, i) => i);
  }

  of(element: number): number {
    let at = element;
    while (this.#parents[at] !== at) {
      this.#parents[at] = this.#parents[this.#parents[at]];
      at = this.#parents[at];
    }
    return at;
  }

  join(a: number, b: number): void {
    const [first, second] = [this.of(a), this.of(b)].sort((x, y) => x - y);
    this.#parents[second] = first;
  }
}
