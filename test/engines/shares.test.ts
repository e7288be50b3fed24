/**
 * Units that threads take from the count in an entry of the tape, in every order that their atomics can take: the source
 * of takeUnit (assembly/compute/shares.ts), run as TypeScript with each atomic a step of a scheduler that tries them all.
 */
import assert from 'node:assert/strict';
import { readFileSync } from 'node:fs';
import { test } from 'node:test';
import ts from 'typescript';
import { TapeLayout } from '../../assembly/compute/opcodes.js';

type Step = () => number;
type Thread = Generator<Step, void, number>;

type Take = (args: number, units: number, threads: number) => Generator<Step, number, number>;

const source = readFileSync(new URL('../../../assembly/compute/shares.ts', import.meta.url), 'utf8');
const generator = (/export function takeUnit[\s\S]*?\n}\n/.exec(source)?.[0] ?? '')
  .replace('function', 'function*')
  .replace(/atomic\.(\w+)<i32>(\([^()]*\))/g, '(yield () => atomic.$1$2)');
const compilerOptions = { target: ts.ScriptTarget.ES2022, module: ts.ModuleKind.CommonJS };
const load = new Function(
  'exports',
  'TapeLayout',
  'atomic',
  ts.transpileModule(generator, { compilerOptions }).outputText,
);

/** takeUnit as a generator that yields each of its atomics, which act on `memory`. */
function takeUnitOn(memory: Map<number, number>): Take {
  const add = (at: number, value: number): number => {
    const before = memory.get(at) ?? 0;
    memory.set(at, before + value);
    return before;
  };
  const exported: { takeUnit?: Take } = {};
  load(exported, TapeLayout, { add, store: (at: number, value: number) => memory.set(at, value) });
  return exported.takeUnit!;
}

/** One walk of an entry by all threads in a given order, as far as the order goes. Who may go on is returned. */
function walk(threads: number, units: number, schedule: readonly number[]): number[] {
  const memory = new Map<number, number>();
  const takeUnit = takeUnitOn(memory);
  const taken: number[] = [];
  const members = Array.from({ length: threads }, function* (): Thread {
    for (let unit = yield* takeUnit(64, units, threads); unit >= 0; unit = yield* takeUnit(64, units, threads)) {
      taken.push(unit);
    }
  });
  const pending = members.map((member) => member.next());
  for (const member of schedule) {
    const { value: step } = pending[member];
    pending[member] = members[member].next((step as Step)());
  }
  const next = [...members.keys()].filter((member) => !pending[member].done);
  if (next.length === 0) {
    assert.deepEqual(taken.sort(), [...Array(units).keys()], `units taken after ${schedule}`);
    assert.deepEqual([...memory.values()], [0], `the count after ${schedule}`);
  }
  return next;
}

for (const [threads, units] of [
  [1, 3],
  [2, 0],
  [2, 5],
  [3, 2],
  [4, 1],
]) {
  test(`${threads} threads take each of ${units} units once, and leave the count at 0`, () => {
    const schedules: number[][] = [[]];
    let walks = 0;
    for (let schedule = schedules.pop(); schedule; schedule = schedules.pop()) {
      const next = walk(threads, units, schedule);
      if (next.length === 0) walks++;
      for (const member of next) schedules.push([...schedule, member]);
    }
    assert.ok(walks >= 1);
  });
}
