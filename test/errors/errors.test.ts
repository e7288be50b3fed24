import assert from 'node:assert/strict';
import { test } from 'node:test';
import { GalvaniError, nearestName } from '../../src/errors.js';

test('an error says stage, expected, got, where and what to do, and knows its exit code', () => {
  const error = new GalvaniError({
    stage: 'shard',
    expected: '30522 pieces',
    got: '30000',
    where: 'data/shard-00003.arrow',
    remedy: 'Run "galvani prepare" again.',
    kind: 'badInput',
  });
  assert.equal(
    error.message,
    'shard: expected 30522 pieces, got 30000 (data/shard-00003.arrow). Run "galvani prepare" again.',
  );
  assert.equal(error.exitCode, 42);
});

test('the nearest name is found for a slip and not for another word', () => {
  assert.equal(nearestName('maskprob', ['maskProb', 'steps']), 'maskProb');
  assert.equal(nearestName('batchsize', ['batch_size', 'steps']), 'batch_size');
  assert.equal(nearestName('colour', ['steps', 'seed']), undefined);
});
