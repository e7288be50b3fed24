/**
 * A process that holds a text and a tokenizer, makes passes over the text when asked, and says how long they took: ours
 * (passProcess.ts) and, in the benches, others'. Processes wait without work, so many can be open and asked in turn.
 *
 * It prints a line of JSON when it is ready ({ error: ErrorParts } when it cannot be), then one for each line that it reads:
 *   pass ⇥ N       N passes; answers PassFigures
 *   ids ⇥ FILE     writes the ids of the whole text as 32-bit words
 */
import { type ChildProcessWithoutNullStreams, spawn } from 'node:child_process';
import { createInterface } from 'node:readline';
import { GalvaniError } from '../errors.js';

/** Of one pass: the mean of those asked for. */
export interface PassFigures {
  readonly seconds: number;
  /** Of the whole process: what other work on the machine leaves alone. */
  readonly cpuSeconds: number;
  /** Of text in a pass. */
  readonly bytes: number;
  readonly tokens: number;
  /** Resident memory that a tokenizing thread has added so far. */
  readonly threadBytes?: number;
  /** Of the whole process so far, the text and the ids with it. */
  readonly peakResidentBytes: number;
}

export class TimedProcess {
  readonly #child: ChildProcessWithoutNullStreams;
  readonly #answers: AsyncIterator<string>;
  readonly #ended: Promise<unknown>;
  #said = '';

  private constructor(
    readonly name: string,
    command: string,
    parameters: readonly string[],
    environment: NodeJS.ProcessEnv,
  ) {
    this.#child = spawn(command, parameters, { env: { ...process.env, ...environment } });
    this.#child.stderr.on('data', (bytes) => {
      this.#said += bytes;
    });
    this.#child.stdin.on('error', () => {}); // it has ended: the answer that fails to come says so
    this.#ended = new Promise((resolve) => {
      this.#child.once('exit', resolve).once('error', resolve);
    });
    this.#answers = createInterface(this.#child.stdout)[Symbol.asyncIterator]();
  }

  /** Resolves when it is ready for its first pass. */
  static async start(
    name: string,
    command: string,
    parameters: readonly string[],
    environment: NodeJS.ProcessEnv = {},
  ): Promise<TimedProcess> {
    const started = new TimedProcess(name, command, parameters, environment);
    await started.#answer();
    return started;
  }

  async pass(times = 1): Promise<PassFigures> {
    this.#child.stdin.write(`pass\t${times}\n`);
    return (await this.#answer()) as PassFigures;
  }

  async writeIds(file: string): Promise<void> {
    this.#child.stdin.write(`ids\t${file}\n`);
    await this.#answer();
  }

  /** Resolves when it has ended. */
  async close(): Promise<void> {
    this.#child.stdin.end();
    await this.#ended;
  }

  async #answer(): Promise<unknown> {
    const { value, done } = await this.#answers.next();
    if (!done) {
      const answer = JSON.parse(value);
      if ('error' in answer) throw new GalvaniError(answer.error);
      return answer;
    }
    throw new GalvaniError({
      stage: 'bench',
      expected: `an answer of ${this.name}`,
      got: this.#said.trim() || 'nothing: its process ended',
      remedy: 'Check that the text and the vocabulary can be read and that memory is not short.',
    });
  }
}
