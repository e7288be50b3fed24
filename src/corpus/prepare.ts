/**
 * `galvani prepare`: a corpus to token shards. The bytes of the output depend on the inputs, the vocabulary and the settings,
 * never on the number of threads or on where a run was killed. Everything is written into a folder beside the output
 * (journal.ts) and renamed as the last act. Memory: on each thread a range, its ids and the encoder's window
 * (text/encoder.ts), and the blocks in flight.
 */
import { readdir } from 'node:fs/promises';
import path from 'node:path';
import { isDeepStrictEqual } from 'node:util';
import { cutBlock, type TokenBlock } from '../dataset/block.js';
import { openDataset, readManifest } from '../dataset/dataset.js';
import { firstDifference } from '../dataset/difference.js';
import { type DocumentRule, idTypeFor, type Manifest, manifestFile } from '../dataset/manifest.js';
import { type DatasetDescription, DatasetWriter } from '../dataset/writer.js';
import { GalvaniError } from '../errors.js';
import { makePlaceForFolder, publishFolder } from '../files.js';
import { runInOrder, stopped } from '../pool.js';
import { compileTextModule } from '../text/encoder.js';
import { type Profile, profiles } from '../text/profile.js';
import { readSource, type TokenizerSource } from '../text/source.js';
import { compileTables } from '../text/tables.js';
import { WorkFolder } from '../workFolder.js';
import { giveBack, unpack } from './crates.js';
import { type InputFile, listInputs, standardInput } from './inputs.js';
import { type Arguments, Journal, journalNames } from './journal.js';
import {
  beginsDocument,
  bytesOf,
  defaultRangeBytes,
  describeTask,
  planTasks,
  rangeBytesFor,
  type Task,
  tasksOfPart,
} from './ranges.js';
import { compileJsonModule } from './readers/jsonLines.js';
import { readSpill } from './spill.js';
import { planStream } from './stream.js';
import type { TaskTokens, WorkerData } from './worker.js';

export interface PrepareSettings {
  /** Files, folders and globs (inputs.ts); or `-` alone, standard input: text, or JSON Lines where `textField` is given. */
  inputs: string[];
  /** Path of a vocab.txt, a tokenizer.json, or the folder of a model. */
  vocabulary: string;
  /** The folder that becomes the dataset. */
  output: string;
  /** Default: as the vocabulary's file says, else `huggingface`. */
  profile?: Profile;
  /** Default: as the vocabulary's file says, else true. */
  lowercase?: boolean;
  documents: DocumentRule;
  /** Of records (JSON Lines, Parquet, Arrow); dots lead into nested ones. Default: `text`. */
  textField?: string;
  threads: number;
  /** A shard ends with the document that reaches this many tokens. */
  shardTokens: number;
  /** Documents with more bytes of text (line ends not counted) are left out; lines of text beyond it are never held. */
  maxDocumentBytes?: number;
  /** Documents with fewer tokens are left out. */
  minTokens?: number;
  /** Documents with a larger share of [UNK] among their tokens are left out. */
  maxUnknownFraction?: number;
  /** Leave out, count and list records and files that cannot be read, rather than stop at the first. */
  skipsErrors?: boolean;
  /** Make the `index`-th (from 1) of `count` parts. */
  part?: { index: number; count: number };
  /** Bytes of a unit of work; no trace of it is left in the output. */
  rangeBytes?: number;
  signal?: AbortSignal;
  onProgress?(progress: PrepareProgress): void;
}

export interface PrepareProgress {
  bytesDone: number;
  /** Unknown of a stream. */
  bytesTotal: number | undefined;
  tokens: number;
}

export interface PrepareResult {
  manifest: Manifest;
  /** The dataset was there already, made of the same inputs (by name and size), vocabulary and settings. */
  wasThere: boolean;
  /** Shards that a run before this one had finished. */
  shardsBefore: number;
}

export async function prepare(settings: PrepareSettings): Promise<PrepareResult> {
  const { inputs, output, vocabulary, skipsErrors = false, part } = settings;
  const isStream = inputs.includes(standardInput);
  if (isStream) checkStream(settings);
  const files = isStream ? [] : listInputs(inputs, [output, vocabulary]);
  const rangeBytes = settings.rangeBytes ?? (part ? rangeBytesFor(files, part.count) : defaultRangeBytes);
  const { profile, lowercase } = settings;
  const source = readSource(vocabulary, { profile, lowercase });
  const description = describe(settings, source, files);
  const { sha256, size } = source.vocabulary;
  const wanted = { ...description, vocabulary: { sha256, size } };
  const found = await findFinished(output, wanted);
  const folder = `${path.resolve(output)}.partial`;
  const work = await WorkFolder.open(folder, 'prepare', journalNames);
  let isKept = true;
  try {
    // Another run may have been at work until the lock was ours.
    const manifest = found ?? (await findFinished(output, wanted));
    if (manifest) {
      isKept = false;
      return { manifest, wasThere: true, shardsBefore: 0 };
    }
    await makePlaceForFolder(path.join(folder, 'dataset.empty'), output);
    const modified = files.map(({ name, bytes, modified }) => ({ name, bytes, modified }));
    const journal = await Journal.open(folder, { ...wanted, inputs: modified, skipsErrors, rangeBytes });
    const shardsBefore = journal.state?.shards.length ?? 0;
    const result = await new Preparation({ ...settings, rangeBytes }, source, description, files, journal)
      .run()
      .finally(() => {
        isKept = journal.state !== undefined;
      });
    await publish(journal.dataset, output, result);
    isKept = false;
    return { manifest: result, wasThere: false, shardsBefore };
  } finally {
    if (isKept) await work.leave();
    else await work.remove();
  }
}

function describe(
  settings: PrepareSettings,
  { settings: tokenizer }: TokenizerSource,
  files: InputFile[],
): DatasetDescription {
  const {
    documents,
    textField = 'text',
    shardTokens,
    maxDocumentBytes,
    minTokens,
    maxUnknownFraction,
    part,
  } = settings;
  return {
    tokenizer: { ...tokenizer, unicodeVersion: profiles[tokenizer.profile].unicodeVersion },
    settings: {
      documents,
      textField,
      shardTokens,
      ...(maxDocumentBytes !== undefined && { maxDocumentBytes }),
      ...(minTokens !== undefined && { minTokens }),
      ...(maxUnknownFraction !== undefined && { maxUnknownFraction }),
    },
    ...(part && { part }),
    inputs: files.map(({ name, bytes }) => ({ name, bytes })),
  };
}

/** One run from its first task to the last, or from where the one before stopped. */
class Preparation {
  private readonly writer: DatasetWriter;
  private readonly workerData: WorkerData;
  private readonly idType: Manifest['idType'];
  private readonly tasks: Task[];
  /** Bytes and tokens that the workers have read. */
  private readonly counters = new BigInt64Array(new SharedArrayBuffer(16));
  private bytesBefore = 0;
  private readonly tokensBefore: number;
  private bytesTotal: number | undefined;

  constructor(
    private readonly settings: PrepareSettings,
    { vocabulary, settings: tokenizer }: TokenizerSource,
    private readonly description: DatasetDescription,
    private readonly files: InputFile[],
    private readonly journal: Journal,
  ) {
    const { documents, textField = 'text', maxDocumentBytes, skipsErrors = false, rangeBytes } = settings;
    this.idType = idTypeFor(vocabulary.size);
    this.tokensBefore = journal.state?.shards.reduce((sum, { tokens }) => sum + tokens, 0) ?? 0;
    // Sizes alone: a corpus of a terabyte makes a quarter of a million tasks.
    this.tasks = [...planTasks(files, rangeBytes)];
    this.writer = new DatasetWriter(journal.dataset, {
      vocabulary,
      description,
      state: journal.state,
      onShard: (state) => (this.isStream ? Promise.resolve() : journal.save(state)),
    });
    this.workerData = {
      module: compileTextModule(),
      tables: compileTables(vocabulary, tokenizer),
      reader: {
        textField,
        maxDocumentBytes,
        skipsErrors,
        jsonModule: compileJsonModule(),
        temporaryFolder: journal.spills,
      },
      tokenizer: {
        documents,
        countsBytes: maxDocumentBytes !== undefined,
        idType: this.idType,
      },
      vocabularySize: vocabulary.size,
      spillFolder: journal.spills,
      counters: this.counters,
    };
  }

  private get isStream(): boolean {
    return this.settings.inputs[0] === standardInput;
  }

  async run(): Promise<Manifest> {
    const timer = this.settings.onProgress && setInterval(() => this.report(), progressMs);
    try {
      if (this.isStream) await this.addStream();
      else await this.addFiles();
      this.report();
      if (this.writer.tokens === 0 && this.settings.part === undefined) throw this.emptyCorpus();
      return await this.writer.finish();
    } finally {
      clearInterval(timer);
      await this.writer.abandon();
    }
  }

  private async addFiles(): Promise<void> {
    const { part, documents } = this.settings;
    const { tasks } = this;
    const { first, end } = part ? tasksOfPart(tasks, part, documents) : { first: 0, end: tasks.length };
    const next = this.journal.state?.next;
    const from = next?.task ?? first;
    const sizes = tasks.map(bytesOf);
    const sum = (from: number, to: number) => sizes.slice(from, to).reduce((total, bytes) => total + bytes, 0);
    this.bytesBefore = sum(first, from);
    this.bytesTotal = sum(first, end);
    this.report();
    // Of a part that does not begin with a document: the rest of one that belongs to the part before.
    let isInRest = next === undefined && first < end && !beginsDocument(tasks[first]);
    let done = next?.border ?? -1;
    let task = from;
    for await (const tokens of this.tokenize(tasks.slice(from, end))) {
      this.writer.startTask(task++, done);
      let borders = 0;
      for await (const block of this.blocksOf(tokens)) {
        const { length } = block.borders;
        if (isInRest) {
          this.writer.countBlock(length > 0 ? cutBlock(block, -1, 0) : block, -1);
          if (length === 0) continue;
          this.writer.startTask(task - 1, 0);
          await this.writer.append(cutBlock(block, 0, length));
          isInRest = false;
        } else if (done < borders) await this.writer.append(block);
        else if (done < borders + length) await this.writer.append(cutBlock(block, done - borders, length));
        borders += length;
      }
      this.end(tokens);
      done = -1;
    }
    if (end < tasks.length && first < end && !isInRest && !beginsDocument(tasks[end])) await this.addRest(end);
  }

  /** The rest of the last document, which lies in the tasks of the parts behind. */
  private async addRest(task: number): Promise<void> {
    for await (const tokens of this.tokenize(this.tasks.slice(task))) {
      for await (const block of this.blocksOf(tokens)) {
        const isLast = block.borders.length > 0;
        const rest = isLast ? cutBlock(block, -1, 0) : block;
        this.writer.countBlock(rest, 1);
        await this.writer.append(rest);
        if (isLast) return;
      }
      this.end(tokens, false);
    }
  }

  private async addStream(): Promise<void> {
    const { textField, maxDocumentBytes, rangeBytes = defaultRangeBytes, signal } = this.settings;
    const format = textField === undefined ? 'text' : 'jsonl';
    const limit = format === 'text' ? maxDocumentBytes : undefined;
    const stream = planStream(process.stdin, format, rangeBytes, limit, signal);
    this.report();
    for await (const tokens of this.tokenize(stream.tasks)) {
      for await (const block of this.blocksOf(tokens)) await this.writer.append(block);
      this.end(tokens);
    }
    this.description.inputs.push({ name: standardInput, bytes: stream.bytes() });
  }

  private tokenize(tasks: Task[] | AsyncIterable<Task>): AsyncGenerator<TaskTokens> {
    const { threads, signal } = this.settings;
    // More could do nothing; a small corpus on a large machine starts one.
    const most = Array.isArray(tasks) ? Math.max(1, tasks.length) : threads;
    return runInOrder<Task, TaskTokens>(tasks, describeTask, {
      stage: 'prepare',
      worker: new URL('./worker.js', import.meta.url),
      workerData: this.workerData,
      threads: Math.min(threads, most),
      signal,
    });
  }

  /** Each is valid until the next one is asked for. */
  private async *blocksOf({ spill, crate }: TaskTokens): AsyncGenerator<TokenBlock> {
    if (spill) {
      for await (const block of readSpill(spill, this.idType)) {
        if (this.settings.signal?.aborted) throw stopped('prepare');
        yield block;
      }
    }
    yield unpack(crate, this.idType).block;
  }

  /** All that is wanted of a task has been taken out. */
  private end({ crate, counts }: TaskTokens, isCounted = true): void {
    if (isCounted) this.writer.addCounts({ ...counts, pieces: unpack(crate, this.idType).pieces });
    giveBack(crate);
  }

  private report(): void {
    const { bytesBefore, bytesTotal, tokensBefore, counters } = this;
    this.settings.onProgress?.({
      bytesDone: bytesBefore + Number(counters[0]),
      bytesTotal,
      tokens: tokensBefore + Number(counters[1]),
    });
  }

  private emptyCorpus(): GalvaniError {
    const { files } = this;
    const bytes = files.reduce((sum, file) => sum + file.bytes, 0);
    const got = this.isStream
      ? 'standard input without any'
      : `${files.length} ${files.length === 1 ? 'file' : 'files'} of ${bytes} bytes without any`;
    return new GalvaniError({
      stage: 'prepare',
      expected: 'a corpus with at least one token',
      got,
      where: files[0]?.path,
      remedy: 'Look at --input, and at what the filters leave out.',
      kind: 'badInput',
    });
  }
}

const progressMs = 100;

/** The manifest of a finished dataset that this run would make again. @throws badInput when something else is there. */
async function findFinished(
  output: string,
  wanted: Omit<Arguments, 'inputs' | 'skipsErrors' | 'rangeBytes'> & Pick<Manifest, 'inputs'>,
): Promise<Manifest | undefined> {
  const entries = await readdir(output).catch((error: NodeJS.ErrnoException): string[] => {
    if (error.code === 'ENOENT') return [];
    throw foreignOutput(output, error.code === 'ENOTDIR' ? 'a file' : String(error.code), error);
  });
  if (entries.length === 0) return undefined;
  if (!entries.includes(manifestFile)) throw foreignOutput(output, `a folder with ${entries[0]} in it`);
  const { manifest } = await openDataset(output);
  for (const key of ['vocabulary', 'tokenizer', 'settings', 'part', 'inputs'] as const) {
    const difference = firstDifference(manifest[key], wanted[key], key);
    if (difference) throw foreignOutput(output, `another dataset: ${difference}`);
  }
  if (manifest.leftOut.duplicates > 0) throw foreignOutput(output, 'a dataset without its duplicates');
  return manifest;
}

/** The rename fails when another run was first: then the two results must be equal. */
async function publish(dataset: string, output: string, manifest: Manifest): Promise<void> {
  try {
    await publishFolder(dataset, output);
  } catch (error) {
    const code = (error as NodeJS.ErrnoException).code;
    if (code !== 'ENOTEMPTY' && code !== 'EEXIST') throw error;
    if (!isDeepStrictEqual(await readManifest(output), manifest)) throw foreignOutput(output, 'another dataset', error);
  }
}

function foreignOutput(output: string, got: string, cause?: unknown): GalvaniError {
  return new GalvaniError({
    stage: 'prepare',
    expected: 'an output folder that is new, empty, or holds this very dataset',
    got,
    where: output,
    remedy: 'Choose another --output, or remove the folder yourself.',
    kind: 'badInput',
    cause,
  });
}

/** It can neither be read twice nor compared. */
function checkStream({ inputs, part }: PrepareSettings): void {
  const got = part ? '--part' : inputs.length > 1 ? 'other inputs beside it' : undefined;
  if (got === undefined) return;
  throw new GalvaniError({
    stage: 'prepare',
    expected: 'standard input alone',
    got,
    where: '--input -',
    remedy: 'Write the text into files first.',
    kind: 'wrongUse',
  });
}
