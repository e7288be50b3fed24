import { plainTfjsEngine, tfjsEngine } from '../../src/engines/tfjs/tfjs.js';
import { describeAgreement } from './agreement.js';

describeAgreement('tfjs with the project’s kernels', tfjsEngine);
describeAgreement('tfjs as it is published', plainTfjsEngine);
