/**
 * The barrier of the wasm team in every order that its threads' atomics can take: its own source
 * (assembly/compute/barrier.ts), run as TypeScript with each atomic a step of a scheduler that tries them all. Memory
 * is sequentially consistent there, as WebAssembly's atomics are. States seen before are not walked again.
 */
import assert from 'node:assert/strict';
import { readFileSync } from 'node:fs';
import { test } from 'node:test';
import ts from 'typescript';
import { Control } from '../../assembly/compute/opcodes.js';

interface Step {
  readonly kind: 'load' | 'store' | 'add' | 'sub' | 'notify' | 'wait';
  readonly at: number;
  readonly value: number;
}
type Thread = Generator<Step, void, number>;

interface Barrier {
  barrier(control: number, threads: number, spins: number, scratch: number): Thread;
  waitUntilChanged(control: number, address: number, before: number, spins: number): Thread;
}

/** The source with `yield* step(kind, …)` for each atomic; loads and stores that are not atomic go to a thread's own memory. */
function transpile(): string {
  const source = readFileSync(new URL('../../../assembly/compute/barrier.ts', import.meta.url), 'utf8')
    .replace(/^import .*$/gm, '')
    .replace(/^@external.*\n.*$/gm, '')
    .replace(/\bsleep\((?=address)/g, 'yield* step.wait(')
    .replace(/(?<!function )\bwaitUntilChanged\(/g, 'yield* waitUntilChanged(')
    .replace(/\bfunction\b/g, 'function*')
    .replace(/<u32>(\w+)/g, '($1 >>> 0)')
    .replace(/atomic\.(\w+)(?:<i32>)?(\([^()]*\))/g, '(yield* step.$1$2)')
    .replace(/\b(load|store)<i32>/g, 'own.$1');
  const compilerOptions = { target: ts.ScriptTarget.ES2022, module: ts.ModuleKind.CommonJS };
  return ts.transpileModule(source, { compilerOptions }).outputText;
}

const load = new Function('exports', 'Control', 'SCRATCH_BARRIERS', 'step', 'own', 'unreachable', transpile());

function* atomic(kind: Step['kind'], at: number, value = 0): Generator<Step, number, number> {
  return yield { kind, at, value };
}

const steps = Object.fromEntries(
  (['load', 'store', 'add', 'sub', 'notify', 'wait'] as const).map((kind) => [
    kind,
    (at: number, value?: number) => atomic(kind, at, value),
  ]),
);

function newThread(): Barrier {
  const exported: Partial<Barrier> = {};
  const memory = new Map<number, number>();
  const own = {
    load: (at: number) => memory.get(at) ?? 0,
    store: (at: number, value: number) => memory.set(at, value),
  };
  load(exported, Control, 0, steps, own, () => assert.fail('a thread arrived out of turn'));
  return exported as Barrier;
}

/** Walks all interleavings; `entered` and `left` count each thread's barriers. Returns the number of states. */
function explore(threads: number, barriers: number, spins: number): number {
  const seen = new Set<string>();
  const schedules: number[][] = [[]];
  for (let schedule = schedules.pop(); schedule; schedule = schedules.pop()) {
    const memory = new Map<number, number>();
    const asleep = new Map<number, number>();
    const entered = new Array<number>(threads).fill(0);
    // What a thread has been told since it entered is all that its own state depends on.
    const told = Array.from({ length: threads + 1 }, (): number[] => []);
    const members = Array.from({ length: threads }, (_, thread) => {
      const own = newThread();
      return (function* (): Thread {
        yield* own.waitUntilChanged(0, Control.Submitted, 0, spins);
        for (let i = 1; i <= barriers; i++) {
          entered[thread] = i;
          told[thread] = [];
          yield* own.barrier(0, threads, spins, 0);
          assert.ok(Math.min(...entered) >= i, `barrier ${i} let thread ${thread} through alone`);
        }
      })();
    });
    members.push(
      (function* (): Thread {
        yield { kind: 'store', at: Control.Submitted, value: 1 };
        yield { kind: 'notify', at: Control.Submitted, value: threads };
      })(),
    );
    const pending = members.map((member) => member.next());
    for (const member of schedule) {
      const { value: step } = pending[member];
      assert.ok(step);
      const result = perform(step, member, memory, asleep);
      if (result === undefined) continue;
      told[member].push(result);
      pending[member] = members[member].next(result);
      // A sleeper that is awake goes on from its wait.
      for (const [sleeper, at] of asleep) {
        if (at >= 0) continue;
        asleep.delete(sleeper);
        told[sleeper].push(0);
        pending[sleeper] = members[sleeper].next(0);
      }
    }
    const key = JSON.stringify([[...memory].sort(([a], [b]) => a - b), [...asleep.keys()].sort(), entered, told]);
    if (seen.has(key)) continue;
    seen.add(key);
    const next = [...members.keys()].filter((member) => !pending[member].done && !asleep.has(member));
    if (next.length === 0)
      assert.ok(
        pending.every(({ done }) => done),
        `stuck after ${schedule}`,
      );
    for (const member of next) schedules.push([...schedule, member]);
  }
  return seen.size;
}

/** The value that a thread goes on with, or nothing when it sleeps now. An address of −1 is a sleeper that was woken. */
function perform(step: Step, member: number, memory: Map<number, number>, asleep: Map<number, number>) {
  const known = memory.get(step.at) ?? 0;
  if (step.kind === 'load') return known;
  if (step.kind === 'store') memory.set(step.at, step.value);
  if (step.kind === 'add') memory.set(step.at, known + step.value);
  if (step.kind === 'sub') memory.set(step.at, known - step.value);
  if (step.kind === 'notify') {
    const sleepers = [...asleep].filter(([, at]) => at === step.at).slice(0, step.value);
    for (const [sleeper] of sleepers) asleep.set(sleeper, -1);
  }
  if (step.kind === 'wait' && known === step.value) {
    asleep.set(member, step.at);
    return undefined;
  }
  return known;
}

for (const [threads, barriers, spins] of [
  [2, 4, 1],
  [3, 1, 0],
]) {
  test(`in no order do ${threads} threads pass a barrier before all have come, or wait for ever`, () => {
    const states = explore(threads, barriers, spins);
    assert.ok(states > 100, `${states} states`);
  });
}
