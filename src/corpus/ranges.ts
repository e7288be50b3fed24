/**
 * Cuts a corpus into work for the pool: each task is some MiB of one file, or several small files.
 * A range owns the lines that *begin* in it, so planning needs sizes only and no byte is read twice but for the ends of
 * lines: a worker skips the line that began before and reads the last line beyond the range. Documents that go over a
 * cut are joined by the shard writer. Cuts therefore never show in the output.
 */
import type { InputFile } from './inputs.js';

/** 4 MiB: the pool's cost of a task (about 0.1 ms) is below 1 % of the work, and few ranges in flight stay small. */
const defaultRangeBytes = 4 << 20;

export interface Range {
  path: string;
  offset: number;
  length: number;
  /** Size of the file when the work was planned. */
  fileBytes: number;
}

export type Task = Range[];

/** Tasks of about `rangeBytes` each, in the order of the corpus. Empty files appear in none. */
export function* planTasks(files: InputFile[], rangeBytes = defaultRangeBytes): Generator<Task> {
  let task: Task = [];
  let bytes = 0;
  for (const { path, bytes: fileBytes } of files) {
    for (let offset = 0; offset < fileBytes; offset += rangeBytes) {
      const length = Math.min(rangeBytes, fileBytes - offset);
      if (task.length > 0 && bytes + length > rangeBytes) {
        yield task;
        task = [];
        bytes = 0;
      }
      task.push({ path, offset, length, fileBytes });
      bytes += length;
    }
  }
  if (task.length > 0) yield task;
}

export function describeTask(task: Task): string {
  const [{ path, offset }] = task;
  const last = task[task.length - 1];
  const end = last.offset + last.length;
  return task.length === 1
    ? `${path}, bytes ${offset} to ${end}`
    : `${path} from byte ${offset} to ${last.path}, byte ${end}`;
}
