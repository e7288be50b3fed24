/** The pool's worker for the n-gram counts: one wasm instance, kept from partition to partition. */
import { workerData } from 'piscina';
import { type Answer, answer } from '../../answer.js';
import { type CountingPlan, type Partition, PartitionCounter } from './counting.js';

const counter = new PartitionCounter(workerData as CountingPlan);

export default function countPartition(partition: Partition): Promise<Answer<Uint32Array[]>> {
  return answer(
    () => counter.count(partition),
    (blocks) => blocks,
  );
}
