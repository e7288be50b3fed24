import assert from 'node:assert/strict';
import { test } from 'node:test';
import { setTimeout as delay } from 'node:timers/promises';
import { RunClock } from '../../src/training/clock.js';

test('waits for batches are summed, and the longest is told: for a lap, for the whole, and from the start alone', async () => {
  const clock = new RunClock();
  await clock.waitFor(delay(60));
  clock.start();
  assert.equal(await clock.waitFor(delay(30, 'a batch')), 'a batch');
  await clock.waitFor(delay(10));
  clock.countStep(7);
  const first = clock.lap();
  await clock.waitFor(delay(5));
  clock.countStep(7);
  const second = clock.lap();
  const total = clock.total();
  clock.stop();

  // A timer may fire a millisecond early, and late by as much as the machine is busy.
  assert.ok(first.longest_stall_ms >= 29 && first.stalled_ms >= first.longest_stall_ms + 9);
  assert.ok(second.longest_stall_ms >= 4 && second.stalled_ms === second.longest_stall_ms);
  assert.ok(Math.abs(total.stalled_ms - first.stalled_ms - second.stalled_ms) < 1e-6);
  assert.equal(total.longest_stall_ms, Math.max(first.longest_stall_ms, second.longest_stall_ms));
  assert.ok(first.stalled_ms <= first.step_ms && first.stall_fraction <= 1);
});
