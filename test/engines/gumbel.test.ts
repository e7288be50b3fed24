/**
 * Gumbel noise and samples of the wasm engine. Most ids are passed by because a bound says that they cannot be the
 * sample: the bound is held against the noise of every word there is, the samples against a plain scan in float64.
 */
import assert from 'node:assert/strict';
import { readFileSync } from 'node:fs';
import { test } from 'node:test';
import { chooseBuild } from '../../src/engines/wasm/build.js';
import { importsOf } from '../../src/engines/wasm/imports.js';
import { wasmEngine } from '../../src/engines/wasm/wasm.js';
import { maskedLmHead } from '../../src/ops/maskedLmHead.js';
import { float32, int32 } from '../../src/ops/operation.js';
import { ProgramBuilder } from '../../src/program/builder.js';
import { drawWords, uniformOfWord } from '../../src/random/philox.js';
import { randomFloats, randomInts } from '../random.js';

chooseBuild();

function noiseOf(word: number): number {
  return -Math.log(-Math.log(uniformOfWord(word) + 1e-9) + 1e-9);
}

for (const build of ['simd', 'relaxed-simd']) {
  test(`no word's noise is above its bound, and all noise is exact to 2e-6, ${build}`, () => {
    const chunk = 1 << 16;
    const memory = new WebAssembly.Memory({ initial: 16, maximum: 16, shared: true });
    const [words, noise, bounds] = [0, 1, 2].map((i) => 1024 + 4 * chunk * i);
    const file = build === 'simd' ? 'compute.wasm' : 'compute-relaxed.wasm';
    const module = new WebAssembly.Module(readFileSync(new URL(`../../assembly/${file}`, import.meta.url)));
    const { exports } = new WebAssembly.Instance(module, importsOf(memory));
    const apply = exports.applyFunction as (f: number, x: number, y: number, count: number, table: number) => void;
    const view = (at: number) => new Float32Array(memory.buffer, at, chunk);
    /** Noise above 1 is what samples are made of: there the bound should be near. */
    let farthest = 0;
    let worst = 0;
    for (let first = 0; first < 2 ** 23; first += chunk) {
      // What stands above the 23 bits counts for nothing.
      new Uint32Array(memory.buffer, words, chunk).forEach((_, i, all) => {
        all[i] = (first + i) | (i << 23);
      });
      apply(11, words, noise, chunk, 64);
      apply(12, words, bounds, chunk, 64);
      const [is, atMost] = [view(noise), view(bounds)];
      for (let i = 0; i < chunk; i++) {
        if (!(is[i] <= atMost[i])) assert.fail(`${is[i]} of ${first + i} is above ${atMost[i]}`);
        if (is[i] > 4) farthest = Math.max(farthest, atMost[i] - is[i]);
        if (i % 61 === 0) worst = Math.max(worst, Math.abs(is[i] - noiseOf(first + i)));
      }
    }
    assert.ok(farthest < 0.08, `a bound is ${farthest} above noise of more than 4`);
    assert.ok(worst < 2e-6, `noise is ${worst} beside the exact one`);
  });
}

const rows = 24;
const places = 3;
const draw = Int32Array.of(17, 18, 19, 5);

for (const [i, pieces] of [1, 5, 16, 19, 255, 256, 1021, 4099].entries()) {
  for (const disallowCorrect of [false, true]) {
    const temperature = [1, 0.7, 2][i % 3];
    const title = `${pieces} pieces at temperature ${temperature}${disallowCorrect ? ', never what is right' : ''}`;
    test(`samples and best guesses are those of a plain scan in float64: ${title}`, async () => {
      const stream = 4;
      const build = new ProgramBuilder();
      const batch = {
        targets: build.input('targets', int32(rows, places)),
        counts: build.input('counts', int32(rows)),
        denominators: build.input('denominators', float32(2)),
        draw: build.input('draw', int32(4)),
      };
      const head = maskedLmHead(
        build,
        build.input('hidden', float32(rows, places, 2)),
        build.input('table', float32(pieces, 2)),
        build.input('bias', float32(pieces)),
        batch,
        { temperature, disallowCorrect, sample: true, stream },
      );
      build.output('sampled', head.sampled);
      build.output('hits', head.hits);
      // From all logits equal to one that leads by far; towards the end of the vocabulary they rise for even rows.
      const hidden = randomFloats(rows * places * 2, i + 1, 4).map((x, at) => (at % 2 ? 3 * (1 - (at & 2)) : x));
      for (const at of [0, 1, 2, 3]) hidden[at] = 0;
      const table = randomFloats(pieces * 2, i + 2).map((x, at) => (at % 2 ? at / pieces : x));
      const bias = randomFloats(pieces, i + 3, 0.1);
      // What is no number, or infinitely small, is no sample.
      if (pieces > 8) bias.set([Number.NaN, -Infinity], 7);
      const targets = randomInts(rows * places, i + 4, pieces);
      const runtime = await wasmEngine.load({ head: build.finish() }, { threads: 2 });
      try {
        const ticket = await runtime.submit('head', {
          targets,
          counts: new Int32Array(rows).fill(places),
          denominators: Float32Array.of(rows * places, 1),
          draw,
          hidden,
          table,
          bias,
        });
        const { sampled, hits } = await ticket.outputs;
        let right = 0;
        let bestRight = 0;
        for (let at = 0; at < rows * places; at++) {
          const words = new Uint32Array(pieces);
          drawWords(words, { low: draw[0], high: draw[1] }, stream, draw[2], (draw[3] * places + at) * pieces);
          const logits = Float64Array.from(
            bias,
            (b, id) => b + hidden[2 * at] * table[2 * id] + hidden[2 * at + 1] * table[2 * id + 1],
          );
          const scores = logits.map((logit, id) => {
            return logit / temperature - (disallowCorrect && id === targets[at] ? 1000 : 0) + noiseOf(words[id]);
          });
          if (firstLargest(logits) === targets[at]) bestRight++;
          if (sampled[at] === targets[at]) right++;
          const expected = firstLargest(scores);
          // Only scores that float32 cannot tell apart may be taken for each other.
          const isTied = Math.abs(scores[expected] - scores[sampled[at]]) < 5e-6;
          assert.ok(sampled[at] === expected || isTied, `${sampled[at]} at ${at}, not ${expected}`);
        }
        assert.deepEqual([...hits.subarray(0, 2)], [bestRight, right]);
      } finally {
        await runtime.close();
      }
    });
  }
}

/** The first of the largest, by what compares. */
function firstLargest(values: Float64Array): number {
  return values.reduce((best, value, i) => (value > values[best] || Number.isNaN(values[best]) ? i : best), 0);
}
