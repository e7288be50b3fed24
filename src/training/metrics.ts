/**
 * metrics.jsonl: one JSON object a line, `kind` train or evaluation, `step` = updates done. Everything in a line is a
 * pure function of the run's settings, but for what stands under `timing`.
 */
import { type FileHandle, open, readFile } from 'node:fs/promises';
import path from 'node:path';
import { GalvaniError } from '../errors.js';
import { explainWriteError, writeFileDurably } from '../files.js';

export interface MetricsLine {
  readonly step: number;
  readonly kind: 'train' | 'evaluation';
  readonly [name: string]: number | string | object;
}

export const metricsFile = 'metrics.jsonl';

export class MetricsLog {
  private constructor(
    private readonly file: string,
    private readonly handle: FileHandle,
  ) {}

  /** Opens the run's log and cuts it back to the checkpoint that is resumed. */
  static async open(run: string, step: number): Promise<MetricsLog> {
    const file = path.join(run, metricsFile);
    const lines = (await readMetrics(run)).filter((line) => line.step <= step);
    await writeFileDurably(file, lines.map(print).join(''));
    return new MetricsLog(file, await open(file, 'a'));
  }

  async append(line: MetricsLine): Promise<void> {
    try {
      await this.handle.appendFile(print(line));
    } catch (error) {
      throw explainWriteError(error, this.file);
    }
  }

  /** All lines so far are on the disk when it resolves: a checkpoint must not be newer than its metrics. */
  sync(): Promise<void> {
    return this.handle.sync();
  }

  close(): Promise<void> {
    return this.handle.close();
  }
}

/**
 * Lines of a run's metrics, in order; none when there is no log. What a kill or a power cut left of the last ones is
 * passed over. @throws badInput for a damaged line before a whole one.
 */
export async function readMetrics(run: string): Promise<MetricsLine[]> {
  const file = path.join(run, metricsFile);
  const text = await readFile(file, 'utf8').catch((error: NodeJS.ErrnoException) => {
    if (error.code === 'ENOENT') return '';
    throw error;
  });
  const lines = text.split('\n').map(parse);
  const end = lines.findLastIndex((line) => line !== undefined) + 1;
  const damaged = lines.indexOf(undefined);
  if (damaged >= 0 && damaged < end) {
    throw new GalvaniError({
      stage: 'metrics',
      expected: 'a line of metrics as JSON',
      got: 'something else',
      where: `${file}, line ${damaged + 1}`,
      remedy: 'Remove the line; the run needs none of them to go on.',
      kind: 'badInput',
    });
  }
  return lines.slice(0, end) as MetricsLine[];
}

function parse(line: string): MetricsLine | undefined {
  try {
    const value = JSON.parse(line) as MetricsLine;
    return Number.isInteger(value.step) ? value : undefined;
  } catch {
    return undefined;
  }
}

function print(line: MetricsLine): string {
  return `${JSON.stringify(line)}\n`;
}
