/** A pool worker that multiplies by ten, and dies when it is told to. */
import { threadId } from 'node:worker_threads';
import { workerData } from 'piscina';

const { dieAt } = workerData as { dieAt?: number | 'start' };
if (dieAt === 'start') throw new Error(`no start of worker ${threadId}`);

export default function multiply(task: number): { result: number } {
  if (task === dieAt) process.exit(3);
  return { result: 10 * task };
}
