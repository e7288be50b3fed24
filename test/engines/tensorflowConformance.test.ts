import assert from 'node:assert/strict';
import { describe, test } from 'node:test';
import { emit } from '../../src/engines/tensorflow/emission.js';
import { tensorflowEngine } from '../../src/engines/tensorflow/tensorflow.js';
import { operations } from '../../src/ops/index.js';
import { needTensorflow } from '../tensorflow.js';
import { conformanceCases } from './cases.js';
import { describeConformance, programOf } from './conformance.js';

const withProducts = [
  'linear',
  'linearInputGradient',
  'linearWeightGradient',
  'biasGradient',
  'attention',
  'attentionGradient',
  'maskedLmHead',
  'maskedLmHeadGradient',
];

test('with bfloat16, an operation without products is the same graph', () => {
  const changed = new Set<string>();
  for (const one of conformanceCases()) {
    const programs = { one: programOf(one) };
    const [narrow, wide] = (['bfloat16', 'float32'] as const).map((precision) => emit(programs, precision).savedModel);
    if (Buffer.compare(narrow, wide) !== 0) changed.add(one.operation);
  }
  assert.deepEqual([...changed].sort(), [...withProducts].sort());
});

describe('tensorflow', needTensorflow(), () => {
  describeConformance('tensorflow float32', tensorflowEngine);
  const others = [...operations.keys()].filter((name) => !withProducts.includes(name));
  describeConformance('tensorflow with bfloat16 products', tensorflowEngine, { precision: 'bfloat16' }, others);
});
