/**
 * metrics.jsonl: one JSON object a line, `kind` train or evaluation, `step` = updates done. Everything in a line is a
 * pure function of the run's settings, but for what stands under `timing`.
 */
import { type FileHandle, open, readFile } from 'node:fs/promises';
import path from 'node:path';
import { writeFileDurably } from '../files.js';

export interface MetricsLine {
  readonly step: number;
  readonly kind: 'train' | 'evaluation';
  readonly [name: string]: number | string | object;
}

export class MetricsLog {
  readonly #handle: FileHandle;

  private constructor(handle: FileHandle) {
    this.#handle = handle;
  }

  /** Opens the run's log and cuts it back to the checkpoint that is resumed; a half-written last line goes too. */
  static async open(run: string, step: number): Promise<MetricsLog> {
    const file = path.join(run, 'metrics.jsonl');
    const lines = await readMetrics(run);
    await writeFileDurably(
      file,
      lines
        .filter((line) => line.step <= step)
        .map(print)
        .join(''),
    );
    return new MetricsLog(await open(file, 'a'));
  }

  async append(line: MetricsLine): Promise<void> {
    await this.#handle.appendFile(print(line));
  }

  /** All lines so far are on the disk when it resolves: a checkpoint must not be newer than its metrics. */
  async sync(): Promise<void> {
    await this.#handle.sync();
  }

  async close(): Promise<void> {
    await this.#handle.close();
  }
}

/** Whole lines of a run's metrics, in order; none when there is no log. */
export async function readMetrics(run: string): Promise<MetricsLine[]> {
  const text = await readFile(path.join(run, 'metrics.jsonl'), 'utf8').catch(() => '');
  return text
    .split('\n')
    .slice(0, -1)
    .map((line) => JSON.parse(line) as MetricsLine);
}

function print(line: MetricsLine): string {
  return `${JSON.stringify(line)}\n`;
}
