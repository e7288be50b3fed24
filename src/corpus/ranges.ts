/**
 * Cuts a corpus into work for the pool: each task is some MiB of one file, or several small files.
 * A range owns the lines (or row groups, or record batches) that *begin* in it, so planning needs sizes only and no byte is
 * read twice but for the ends of lines: a worker skips the line that began before and reads the last line beyond the range.
 * Documents that go over a cut are joined by the shard writer. Cuts therefore never show in the output. A compressed file can
 * be read from its beginning only and is one range.
 *
 * A part of a corpus is a run of tasks: the documents whose first border lies in them. What stands in its tasks before
 * the first border belongs to the part before, which reads on until there.
 */
import type { DocumentRule } from '../dataset/manifest.js';
import type { InputFile } from './inputs.js';

/** 4 MiB: the pool's cost of a task (about 0.1 ms) is below 1 % of the work, and few ranges in flight stay small. */
export const defaultRangeBytes = 4 << 20;

/** A part is at least so many tasks, that parts may be about equal, unless they would be tiny. */
const tasksOfAPart = 16;
const leastRangeBytes = 1 << 16;

/** What `count` parts of a corpus are cut into. */
export function rangeBytesFor(files: InputFile[], count: number): number {
  const bytes = files.reduce((sum, file) => sum + file.bytes, 0);
  return Math.min(defaultRangeBytes, Math.max(leastRangeBytes, Math.ceil(bytes / (tasksOfAPart * count))));
}

export interface Range extends Omit<InputFile, 'bytes'> {
  offset: number;
  length: number;
  /** Size of the file when the work was planned. */
  fileBytes: number;
  /** The bytes themselves, whole lines, where there is no file to read them from. */
  lines?: { bytes: Uint8Array; overlongBytes?: number };
}

export type Task = Range[];

/** Tasks of about `rangeBytes` each, in the order of the corpus. Empty files appear in none. */
export function* planTasks(files: InputFile[], rangeBytes = defaultRangeBytes): Generator<Task> {
  let task: Task = [];
  let bytes = 0;
  for (const { bytes: fileBytes, ...file } of files) {
    const step = file.compression === undefined ? rangeBytes : fileBytes;
    for (let offset = 0; offset < fileBytes; offset += step) {
      const length = Math.min(step, fileBytes - offset);
      if (task.length > 0 && bytes + length > rangeBytes) {
        yield task;
        task = [];
        bytes = 0;
      }
      task.push({ ...file, offset, length, fileBytes });
      bytes += length;
    }
  }
  if (task.length > 0) yield task;
}

export function bytesOf(task: Task): number {
  return task.reduce((sum, range) => sum + range.length, 0);
}

/** The tasks [first, end) of part `index` (from 1) of `count`: about equal in bytes, and a function of the arguments alone. */
export function tasksOfPart(
  tasks: Task[],
  { index, count }: { index: number; count: number },
  documents: DocumentRule,
): { first: number; end: number } {
  const total = tasks.reduce((sum, task) => sum + bytesOf(task), 0);
  const beginOf = (part: number) => {
    let before = 0;
    let task = 0;
    while (task < tasks.length && before * count < total * (part - 1)) before += bytesOf(tasks[task++]);
    // Inside a file that is one document there is no border to look for.
    while (task < tasks.length && !mayHoldBorder(tasks[task], documents)) task++;
    return task;
  };
  return { first: beginOf(index), end: index === count ? tasks.length : beginOf(index + 1) };
}

/** Whether no document goes on into a task from the one before. */
export function beginsDocument([{ offset, format }]: Task): boolean {
  return offset === 0 || format !== 'text';
}

function mayHoldBorder(task: Task, documents: DocumentRule): boolean {
  return documents !== 'file' || task.some(({ offset, format }) => offset === 0 || format !== 'text');
}

export function describeTask(task: Task): string {
  const [{ path, offset }] = task;
  const last = task[task.length - 1];
  const end = last.offset + last.length;
  return task.length === 1
    ? `${path}, bytes ${offset} to ${end}`
    : `${path} from byte ${offset} to ${last.path}, byte ${end}`;
}
