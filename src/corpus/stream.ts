/** Standard input as tasks for the pool: whole lines that go to a worker with the task, since no worker could read them itself. */
import type { Readable } from 'node:stream';
import { type Format, standardInput } from './inputs.js';
import type { Task } from './ranges.js';
import { cutLines } from './readers/lines.js';

export interface StreamPlan {
  tasks: AsyncIterable<Task>;
  /** Bytes of text so far. */
  bytes(): number;
}

export function planStream(
  source: Readable,
  format: Format,
  rangeBytes: number,
  maxLineBytes: number | undefined,
): StreamPlan {
  let total = 0;
  async function* plan(): AsyncGenerator<Task> {
    for await (const { bytes, offset, overlongBytes } of cutLines(source, rangeBytes, maxLineBytes)) {
      const lines = { bytes: bytes.slice(), overlongBytes };
      const length = bytes.length + (overlongBytes ?? 0);
      total = offset + length;
      yield [{ path: standardInput, name: standardInput, format, offset, length, fileBytes: total, lines }];
    }
  }
  return { tasks: plan(), bytes: () => total };
}
