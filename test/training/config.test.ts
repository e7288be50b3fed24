import assert from 'node:assert/strict';
import { test } from 'node:test';
import { presetNames } from '../../src/model/config.js';
import { parametersOf } from '../../src/model/parameters.js';
import { sizeOf } from '../../src/ops/operation.js';
import { changesOf, presetTraining, stagesOf, withSettings } from '../../src/training/config.js';

const small = presetTraining('small', 30522);
const set = (name: string, value: unknown) => withSettings(small, [{ name, value, from: '--set' }]);

test('every preset is valid, and small and base have the paper’s parameter counts', () => {
  for (const name of presetNames) withSettings(presetTraining(name, 30522), []);
  const count = (preset: string, prefix: string) =>
    parametersOf(presetTraining(preset, 30522).model)
      .filter(({ name }) => name.startsWith(prefix))
      .reduce((sum, { shape }) => sum + sizeOf(shape), 0);
  // electra-facts: discriminator backbone 13,483,008 + head 66,049; the generator adds 608,064 + head 39,098 + bias.
  assert.equal(count('small', 'shared.') + count('small', 'discriminator.'), 13_483_008 + 66_049);
  assert.equal(count('small', 'generator.'), 608_064 + 39_098);
  assert.equal(count('base', 'shared.') + count('base', 'discriminator.'), 108_891_648 + 591_361);
});

test('an unknown setting is refused with the nearest name', () => {
  assert.throws(() => set('learningrate', 1), /got "learningrate" \(--set\)\. Did you mean "learning_rate"\?/);
  assert.throws(() => set('model.discriminator.hidden_siz', 1), /Did you mean "model.discriminator.hidden_size"/);
  assert.throws(() => presetTraining('smal', 100), /Did you mean "small"/);
});

test('settings that cannot be, or contradict each other, are refused', () => {
  assert.throws(() => set('mask_prob', 1.5), /expected a valid mask_prob/);
  assert.throws(() => set('sequence_length', 1024), /at most max_position_embeddings \(512\), got 1024/);
  assert.throws(() => set('micro_batch_size', 48), /micro_batch_size to divide batch_size, got 48 and 128/);
  assert.throws(() => set('model.generator.embedding_size', 64), /embedding_size to equal/);
  assert.throws(
    () => set('model.discriminator.num_attention_heads', 5),
    /multiple of discriminator.num_attention_heads/,
  );
  assert.throws(() => set('stages', [{ until: 0.5, replacement: 'unigram' }]), /last stage to last until 1/);
});

test('what may change on a resume is told, what may not is refused with both values', () => {
  const changes = changesOf(small, set('learning_rate', 1e-4), 'config.json');
  assert.deepEqual(changes, [{ name: 'learning_rate', from: 5e-4, to: 1e-4 }]);
  assert.throws(() => changesOf(small, set('mask_prob', 0.2), 'config.json'), /expected mask_prob 0.15, got 0.2/);
});

test('stages cut the steps without a gap and carry their own extents', () => {
  const tiny = presetTraining('tiny', 1024);
  const stages = stagesOf({
    ...tiny,
    num_train_steps: 1001,
    stages: [
      { until: 0.3, replacement: 'unigram', sequence_length: 8, batch_size: 128 },
      { until: 1, replacement: 'generator' },
    ],
  });
  assert.deepEqual(
    stages.map(({ first, end, sequenceLength, batchSize }) => [first, end, sequenceLength, batchSize]),
    [
      [0, 300, 8, 128],
      [300, 1001, tiny.sequence_length, tiny.batch_size],
    ],
  );
});
