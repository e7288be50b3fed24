import { createWasmEngine } from '../../src/engines/wasm/wasm.js';
import { describeConformance } from './conformance.js';

describeConformance('wasm with plain SIMD', createWasmEngine('simd'), { threads: 2 });
describeConformance('wasm with relaxed SIMD', createWasmEngine('relaxed-simd'), { threads: 2 });
