import '@tensorflow/tfjs-backend-cpu';
import { createTfjsEngine, plainTfjsEngine, tfjsEngine } from '../../src/engines/tfjs/tfjs.js';
import { describeConformance } from './conformance.js';

describeConformance('tfjs with the project’s kernels', tfjsEngine);
describeConformance('tfjs as it is published', plainTfjsEngine);
describeConformance('tfjs on another backend, its plain JavaScript', createTfjsEngine({ backend: 'cpu' }));
