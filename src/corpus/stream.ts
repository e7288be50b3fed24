/** Standard input as tasks for the pool: whole lines that go to a worker with the task, since no worker could read them itself. */
import { addAbortSignal, type Readable } from 'node:stream';
import { type Format, standardInput } from './inputs.js';
import type { Task } from './ranges.js';
import { cutLines } from './readers/lines.js';
import { isSystemError, unreadable } from './readers/unreadable.js';

export interface StreamPlan {
  tasks: AsyncIterable<Task>;
  /** Bytes of text so far. */
  bytes(): number;
}

/** @param signal ends the wait for more, too. */
export function planStream(
  source: Readable,
  format: Format,
  rangeBytes: number,
  maxLineBytes: number | undefined,
  signal?: AbortSignal,
): StreamPlan {
  if (signal) addAbortSignal(signal, source);
  let total = 0;
  async function* plan(): AsyncGenerator<Task> {
    for await (const { bytes, offset, overlongBytes } of cutLines(chunksOf(source), rangeBytes, maxLineBytes)) {
      const lines = { bytes: new Uint8Array(bytes), overlongBytes }; // a copy: tasks wait, and the buffer is filled again
      const length = bytes.length + (overlongBytes ?? 0);
      total = offset + length;
      yield [
        { path: standardInput, name: standardInput, format, offset, length, fileBytes: total, modified: 0, lines },
      ];
    }
  }
  return { tasks: plan(), bytes: () => total };
}

async function* chunksOf(source: Readable): AsyncGenerator<Uint8Array> {
  try {
    yield* source;
  } catch (error) {
    throw isSystemError(error) ? unreadable(error, 'standard input') : error;
  }
}
