import { describe } from 'node:test';
import { tensorflowEngine } from '../../src/engines/tensorflow/tensorflow.js';
import { needTensorflow } from '../tensorflow.js';
import { describeConformance } from './conformance.js';

describe('tensorflow', needTensorflow(), () => {
  describeConformance('tensorflow float32', tensorflowEngine);
});
