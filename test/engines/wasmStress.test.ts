/**
 * Many short tapes one behind another, on several teams at once that have more threads than the machine has cores: each
 * must come to its end without a pulse to wake it, and no unit may be left out or done twice.
 * GALVANI_STRESS_SECONDS is how long at most (default: 4); LOG.md tells of the hang that this looks for.
 */
import assert from 'node:assert/strict';
import { test } from 'node:test';
import type { Outputs, Runtime } from '../../src/engines/engine.js';
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
async function countUntil(runtime: Runtime, deadline: number): Promise<number> {
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
    await last;
    last = check(outputs, tapes);
    last.catch(() => {});
  }
  await last;
  return tapes;
}

test('short tapes end, and each counts once, with more threads than cores and several teams at once', async ({
  mock,
}) => {
  // No pulse: it would make a lost wake-up good.
  mock.timers.enable({ apis: ['setInterval'] });
  const engines = [wasmEngine, createWasmEngine('simd')];
  const runtimes = await Promise.all(
    [2, 3, 5, 2].map((threads, i) => engines[i % 2].load({ counting: counting() }, { threads })),
  );
  // What stands still is ended by all the pulses at once, and says where each thread is.
  const watchdog = setTimeout(() => mock.timers.tick(200_000), 1000 * (seconds + 60));
  try {
    const deadline = performance.now() + 1000 * seconds;
    const tapes = await Promise.all(runtimes.map((runtime) => countUntil(runtime, deadline)));
    for (const [i, runtime] of runtimes.entries()) {
      assert.ok(tapes[i] > 0);
      assert.deepEqual(new Set(await runtime.read('count')), new Set([tapes[i]]));
    }
    if (process.env.GALVANI_STRESS_SECONDS) console.log(`tapes of each team: ${tapes.join(', ')}`);
  } finally {
    clearTimeout(watchdog);
    await Promise.all(runtimes.map((runtime) => runtime.close()));
  }
});
