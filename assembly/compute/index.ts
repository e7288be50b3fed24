/**
 * The compute module: what a team thread of src/engines/wasm calls, and what tests and benches measure. One shared
 * memory, laid out by the host; no static data and no allocation, so any number of instances share it.
 */
export { serve } from './team';
export { applyFunction, copyAll, multiplyAddPeak, multiplyAddPeakWide, readAll } from './probe';
