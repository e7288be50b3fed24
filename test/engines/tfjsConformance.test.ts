import { createTfjsEngine } from '../../src/engines/tfjs/tfjs.js';
import { describeConformance } from './conformance.js';

describeConformance('tfjs on its wasm backend', createTfjsEngine());
