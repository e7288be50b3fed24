/**
 * The compute kernels for a memory that somebody else owns and that is not shared: src/engines/tfjs walks the tape of one
 * operation at a time over the tensors of a backend of TensorFlow.js. One thread, so no barrier is ever waited at.
 */
export { walk } from './tape';
