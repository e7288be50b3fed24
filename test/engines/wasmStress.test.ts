/**
 * Many short tapes one behind another, on several teams at once that have more threads than the machine has cores: each
 * must come to its end without a pulse to wake it, or however often it is woken, and no unit may be left out or done twice.
 * GALVANI_STRESS_SECONDS is how long at most (default: 4); LOG.md tells of the hang that this looks for.
 */
import assert from 'node:assert/strict';
import { type MockTracker, test } from 'node:test';
import { setFlagsFromString } from 'node:v8';
import type { Engine, Outputs, Runtime } from '../../src/engines/engine.js';
import { createWasmEngine, wasmEngine } from '../../src/engines/wasm/wasm.js';
import { add, scale } from '../../src/ops/arithmetic.js';
import { linear } from '../../src/ops/linear.js';
import { float32 } from '../../src/ops/operation.js';
import { ProgramBuilder } from '../../src/program/builder.js';
import type { Program } from '../../src/program/program.js';

const seconds = Number(process.env.GALVANI_STRESS_SECONDS ?? 4);
/** Three units of elementwise work, several tiles. */
const [rows, width] = [260, 37];

/** count + 1, written over itself, where a unit done twice or not at all would show; then a product and a multiple of it. */
function counting(): Program {
  const build = new ProgramBuilder();
  const count = build.variable('count', [rows, width], 'parameter');
  const next = add(build, count, build.input('one', float32(rows, width)));
  build.assign('count', next);
  const same = linear(build, next, build.input('identity', float32(width, width)));
  build.output('half', scale(build, same, 0.5));
  return build.finish();
}

const one = new Float32Array(rows * width).fill(1);
const identity = Float32Array.from({ length: width * width }, (_, i) => (i % (width + 1) === 0 ? 1 : 0));

/** Two tapes in flight, each result looked at. → how many there were. */
async function countUntil(runtime: Runtime, deadline: number, beat: () => void): Promise<number> {
  const check = async (outputs: Promise<Outputs>, expected: number) => {
    const { half } = await outputs;
    const wrong = half.findIndex((value) => value !== expected / 2);
    if (wrong >= 0) assert.fail(`tape ${expected}: half[${wrong}] is ${half[wrong]}, not ${expected / 2}`);
  };
  let tapes = 0;
  let last: Promise<void> = Promise.resolve();
  while (performance.now() < deadline) {
    tapes++;
    const { outputs } = await runtime.submit('counting', { one, identity });
    beat();
    await last;
    last = check(outputs, tapes);
    last.catch(() => {});
  }
  await last;
  return tapes;
}

/** As many tapes as there is time for, on teams of these sizes at once; each counts once. beat: what is done between them. */
async function stress(
  engine: Engine,
  teams: readonly number[],
  pulses: MockTracker['timers'],
  beat: () => void,
): Promise<void> {
  const loads = teams.map((threads) => engine.load({ counting: counting() }, { threads }));
  const runtimes = await Promise.all(loads);
  // What stands still is ended by all the pulses at once, and says where each thread is.
  const watchdog = setTimeout(() => pulses.tick(200_000), 1000 * (seconds + 60));
  try {
    const deadline = performance.now() + 1000 * seconds;
    const tapes = await Promise.all(runtimes.map((runtime) => countUntil(runtime, deadline, beat)));
    for (const [i, runtime] of runtimes.entries()) {
      assert.ok(tapes[i] > 0);
      assert.deepEqual(new Set(await runtime.read('count')), new Set([tapes[i]]));
    }
    if (process.env.GALVANI_STRESS_SECONDS) console.log(`tapes of each team: ${tapes.join(', ')}`);
  } finally {
    clearTimeout(watchdog);
    await Promise.all(runtimes.map((runtime) => runtime.close()));
  }
}

test('short tapes end without a pulse, and each counts once', async ({ mock: { timers } }) => {
  timers.enable({ apis: ['setInterval'] });
  await stress(wasmEngine, [2, 3, 5, 2], timers, () => {});
});

test('a thread that is woken for nothing sleeps on, in what the baseline compiler makes of it too', async ({
  mock: { timers },
}) => {
  timers.enable({ apis: ['setInterval'] });
  // Of the build that has not been compiled yet; with one build only, it is the optimised code again.
  setFlagsFromString('--liftoff-only');
  // One team after another: pulses that come with another team's tapes may find a team 120 times where it was.
  for (const threads of [2, 3]) await stress(createWasmEngine('simd'), [threads], timers, () => timers.tick(1000));
});
