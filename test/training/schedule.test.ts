import assert from 'node:assert/strict';
import { test } from 'node:test';
import { learningRateAt, type Schedule } from '../../src/training/schedule.js';

const official: Schedule = {
  kind: 'official',
  learningRate: 5e-4,
  steps: 1000,
  warmupSteps: 100,
  decayPower: 1,
  cooldownFraction: 0,
};

test('the official schedule multiplies warm-up and decay', () => {
  assert.equal(learningRateAt(official, 0), 0);
  assert.equal(learningRateAt(official, 50), 5e-4 * 0.95 * 0.5);
  assert.equal(learningRateAt(official, 100), 5e-4 * 0.9);
  assert.equal(learningRateAt(official, 1000), 0);
  assert.equal(learningRateAt({ ...official, decayPower: 2 }, 500), 5e-4 * 0.25);
  assert.equal(learningRateAt({ ...official, warmupSteps: 0 }, 0), 5e-4);
});

test('the trapezoid rises, stays, and falls in its last part', () => {
  const trapezoid: Schedule = { ...official, kind: 'trapezoid', cooldownFraction: 0.25 };
  assert.equal(learningRateAt(trapezoid, 0), 5e-4 / 100);
  assert.equal(learningRateAt(trapezoid, 99), 5e-4);
  assert.equal(learningRateAt(trapezoid, 749), 5e-4);
  assert.equal(learningRateAt(trapezoid, 875), 5e-4 * 0.5);
  assert.equal(learningRateAt(trapezoid, 999), 5e-4 * (1 / 250));
});
