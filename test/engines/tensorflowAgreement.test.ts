import { describe } from 'node:test';
import { tensorflowEngine } from '../../src/engines/tensorflow/tensorflow.js';
import { needTensorflow } from '../tensorflow.js';
import { describeAgreement } from './agreement.js';

describe('tensorflow', needTensorflow(), () => {
  describeAgreement('tensorflow', tensorflowEngine);
});
