/**
 * Whether the tensorflow engine can run here: tests of it are skipped where it cannot, and say how to get it.
 * Says nothing about whether the library opens: where the binding is there and broken, tests fail.
 */
import { findCandidates } from '../src/engines/tensorflow/binding.js';

/** `test(name, needTensorflow(), …)` or `describe(…)`. */
export function needTensorflow(): { skip: string | false } {
  const isThere = findCandidates().some(({ state }) => state === 'built');
  return { skip: isThere ? false : 'needs TensorFlow: run "npm run setup:tensorflow" once' };
}
