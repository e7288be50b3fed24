import assert from 'node:assert/strict';
import { test } from 'node:test';
import { areaUnderCurve } from '../../src/training/auc.js';
import { compareWithBaseline } from '../../src/training/baseline.js';
import type { Decisions } from '../../src/training/evaluation.js';
import { randomFloats, randomInts } from '../random.js';

test('the area equals the share of ordered pairs, ties counting half', () => {
  for (let seed = 0; seed < 20; seed++) {
    const labels = Uint8Array.from(randomInts(60, seed, 2));
    // Few distinct scores, so that there are many ties.
    const scores = Float64Array.from(randomInts(60, seed + 100, 9));
    let pairs = 0;
    let ordered = 0;
    for (const [i, positive] of labels.entries()) {
      for (const [j, other] of labels.entries()) {
        if (positive !== 1 || other !== 0) continue;
        pairs++;
        ordered += scores[i] > scores[j] ? 1 : scores[i] === scores[j] ? 0.5 : 0;
      }
    }
    assert.ok(Math.abs(areaUnderCurve(scores, labels) - ordered / pairs) < 1e-12);
  }
});

/** Ids above 10 are replaced more often. */
function corrupt(count: number, seed: number): Decisions {
  const ids = randomInts(count, seed, 20);
  const chance = randomFloats(count, seed + 1);
  const labels = Uint8Array.from(ids, (id, i) => (chance[i] > (id > 10 ? 0.2 : 0.8) ? 1 : 0));
  const logits = Float64Array.from(ids, (id) => (id > 10 ? 1 : -1));
  return { ids, labels, logits, batchStarts: Array.from({ length: count / 100 + 1 }, (_, i) => i * 100) };
}

test('a model that only knows the token id has no margin over the baseline, one that sees more has', () => {
  const training = corrupt(40_000, 1);
  const heldOut = corrupt(8000, 5);
  const none = compareWithBaseline(training, heldOut, 20);
  assert.ok(none.margin_low < 0.005 && Math.abs(none.margin) < 0.015, JSON.stringify(none));
  const noise = randomFloats(8000, 3);
  const seer = { ...heldOut, logits: Float64Array.from(heldOut.labels, (label, i) => label + noise[i]) };
  const some = compareWithBaseline(training, seer, 20);
  assert.ok(some.margin > 0.05 && some.margin_low > 0, JSON.stringify(some));
});
