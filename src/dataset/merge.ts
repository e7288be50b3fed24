/**
 * `galvani merge`: several datasets become one. The parts of a corpus come in the order of their numbers, and all of them
 * must be there; whole datasets come in the order given. Nothing is rewritten: shards are linked under new names, or copied
 * where the file system has no links, and their checksums are taken over. With `deduplicate`, only the first of equal
 * documents stays, and new shards are written (deduplicate.ts).
 * Everything is made in `<output>.merging`, and renamed as the last act.
 */
import { constants } from 'node:fs';
import { copyFile, link, mkdir, readdir, rm, stat } from 'node:fs/promises';
import path from 'node:path';
import { GalvaniError } from '../errors.js';
import { explainWriteError, makePlaceForFolder, publishFolder } from '../files.js';
import { Vocabulary } from '../text/vocabulary.js';
import { WorkFolder } from '../workFolder.js';
import { mostSkippedListed } from './block.js';
import { damaged } from './damage.js';
import { readManifest, readTokenCounts } from './dataset.js';
import { writeFirsts } from './deduplicate.js';
import { firstDifference } from './difference.js';
import { hashBytes } from './hash.js';
import { hashesFileOf } from './hashes.js';
import { type Manifest, nothingLeftOut, shardFileAt, vocabularyFile } from './manifest.js';
import type { MergeProgress, MergeTarget, Source } from './sources.js';
import { readSums } from './sums.js';
import { type DatasetDescription, DatasetWriter, type WriterState } from './writer.js';

export interface MergeSettings {
  /** Folders of datasets. */
  inputs: string[];
  /** The folder that becomes the dataset: new or empty. */
  output: string;
  /** Leave documents out whose ids equal those of an earlier one. */
  deduplicate?: boolean;
  signal?: AbortSignal;
  onProgress?(progress: MergeProgress): void;
}

export interface MergeResult {
  manifest: Manifest;
  /** Files that are another name of the input's file, and those that had to be copied: none of either when deduplicated. */
  linked: number;
  copied: number;
}

/** @throws badInput for datasets that do not go together, and for an output that holds something. */
export async function merge(settings: MergeSettings): Promise<MergeResult> {
  const { inputs, output, deduplicate, signal, onProgress } = settings;
  await checkOutput(output, inputs);
  const sources = await openSources(inputs);
  const [{ directory, manifest }] = sources;
  const vocabulary = Vocabulary.read(path.join(directory, vocabularyFile), manifest.tokenizer.profile);
  const target = { vocabulary, description: describe(sources), state: await addUp(sources) };
  const show = (progress: MergeProgress) => {
    if (signal?.aborted) throw stopped();
    onProgress?.(progress);
  };
  const folder = `${path.resolve(output)}.merging`;
  const workFolder = await WorkFolder.open(folder, 'merge', ['dataset']);
  try {
    await makePlaceForFolder(path.join(folder, 'dataset.empty'), output);
    const work = path.join(folder, 'dataset');
    await rm(work, { recursive: true, force: true }); // of a killed run
    await mkdir(work);
    const result = deduplicate
      ? { manifest: await writeFirsts(sources, work, target, show), linked: 0, copied: 0 }
      : await linkShards(sources, work, target, show);
    await publishFolder(work, output).catch((error) => {
      throw error.code === 'ENOTEMPTY' || error.code === 'EEXIST' ? occupied(output, 'files', error) : error;
    });
    return result;
  } finally {
    await workFolder.remove();
  }
}

/** In the order in which they become one, seen to go together and to have all their files. */
async function openSources(inputs: string[]): Promise<Source[]> {
  const given: Source[] = [];
  for (const directory of inputs) {
    const source = { directory, manifest: await readManifest(directory) };
    const first = given[0] ?? source;
    checkAgreement(first, source);
    // There may be thousands of parts and of inputs.
    if (source.manifest.part && first.manifest.part) source.manifest.inputs = first.manifest.inputs;
    given.push(source);
  }
  const sources = inOrder(given);
  if (sources.every(({ manifest }) => manifest.counts.documents === 0)) throw withoutDocuments(sources);
  for (const source of sources) await checkFiles(source);
  return sources;
}

async function checkOutput(output: string, inputs: string[]): Promise<void> {
  for (const input of inputs) {
    const between = path.relative(path.resolve(input), path.resolve(output));
    if (between === '') throw occupied(output, 'an input');
    if (between !== '..' && !between.startsWith(`..${path.sep}`) && !path.isAbsolute(between)) {
      throw occupied(output, `a folder inside the input ${input}`);
    }
  }
  const entries = await readdir(output).catch((error: NodeJS.ErrnoException): string[] => {
    if (error.code === 'ENOENT') return [];
    throw occupied(output, error.code === 'ENOTDIR' ? 'a file' : String(error.code), error);
  });
  if (entries.length > 0) throw occupied(output, `a folder with ${entries[0]} in it`);
}

/** One vocabulary, tokenizer and settings; of parts, one corpus too. */
function checkAgreement(first: Source, other: Source): void {
  const keys = ['vocabulary', 'tokenizer', 'settings', 'idType'] as const;
  const places = [`in ${first.directory}`, `in ${other.directory}`] as const;
  for (const key of first.manifest.part && other.manifest.part ? [...keys, 'inputs' as const] : keys) {
    const difference = firstDifference(first.manifest[key], other.manifest[key], key, places);
    if (difference === undefined) continue;
    throw new GalvaniError({
      stage: 'merge',
      expected: key === 'inputs' ? 'parts of one corpus' : 'datasets of one vocabulary, tokenizer and settings',
      got: `others: ${difference}`,
      remedy: 'Prepare them with the same arguments.',
      kind: 'badInput',
    });
  }
}

/** The parts of a corpus by their numbers, each there once; whole datasets as they were given. */
function inOrder(sources: Source[]): Source[] {
  const count = sources[0].manifest.part?.count;
  const other = sources.find(({ manifest }) => manifest.part?.count !== count);
  if (other !== undefined) {
    throw wrongParts('all parts of one split, or whole datasets', `${tell(sources[0])} and ${tell(other)}`);
  }
  if (count === undefined) return sources;
  const ordered: Source[] = [];
  const wrong: string[] = [];
  for (let index = 1; index <= count; index++) {
    const found = sources.filter(({ manifest }) => manifest.part?.index === index);
    ordered.push(...found);
    if (found.length === 0) wrong.push(`no part ${index}`);
    if (found.length > 1) wrong.push(`part ${index} in ${found.map(({ directory }) => directory).join(' and ')}`);
  }
  if (wrong.length === 0) return ordered;
  const told = wrong.length > 10 ? [...wrong.slice(0, 10), `${wrong.length - 10} more`] : wrong;
  throw wrongParts(`each of the ${count} parts once`, told.join(', '));
}

function tell({ directory, manifest: { part } }: Source): string {
  return part ? `part ${part.index} of ${part.count} (${directory})` : `a whole dataset (${directory})`;
}

/** Every file is there, listed, and as long as it should be. */
async function checkFiles({ directory, manifest }: Source): Promise<void> {
  const sums = await readSums(directory);
  for (const { file, rows, bytes } of manifest.shards) {
    for (const [name, wanted] of [[file, bytes] as const, [hashesFileOf(file), hashBytes * rows] as const]) {
      const where = path.join(directory, name);
      if (!sums.has(name)) throw damaged(where, 'a file that SHA256SUMS lists', 'another');
      const { size } = await stat(where).catch((cause) => {
        throw damaged(where, `${wanted} bytes`, cause.code ?? String(cause), cause);
      });
      if (size !== wanted) throw damaged(where, `${wanted} bytes`, String(size));
    }
  }
}

/** What is true of all of them together, whatever becomes of their documents. */
function describe(sources: Source[]): DatasetDescription {
  const [{ part, tokenizer, settings, inputs }] = sources.map(({ manifest }) => manifest);
  // The parts of a corpus list all of it.
  return { tokenizer, settings, inputs: part ? inputs : sources.flatMap(({ manifest }) => manifest.inputs) };
}

/** The state of a writer that has written what all of them hold, but for the shards themselves. */
async function addUp(sources: Source[]): Promise<WriterState> {
  const state: WriterState = {
    shards: [],
    sums: [],
    pieces: new Array(sources[0].manifest.vocabulary.size).fill(0),
    lines: 0,
    droppedBytes: 0,
    leftOut: { ...nothingLeftOut },
    skipped: [],
    next: { task: 0, border: -1 },
  };
  for (const source of sources) {
    const { counts, leftOut, skipped } = source.manifest;
    state.lines += counts.lines;
    state.droppedBytes += counts.droppedBytes;
    for (const key of Object.keys(leftOut) as (keyof typeof leftOut)[]) state.leftOut[key] += leftOut[key];
    state.skipped.push(...skipped.slice(0, mostSkippedListed - state.skipped.length));
    (await readTokenCounts(source)).forEach((count, id) => {
      state.pieces[id] += count;
    });
  }
  return state;
}

async function linkShards(
  sources: Source[],
  work: string,
  target: MergeTarget,
  onProgress: (progress: MergeProgress) => void,
): Promise<MergeResult> {
  const { state } = target;
  const total = sources.reduce((sum, { manifest }) => sum + manifest.shards.length, 0);
  let linked = 0;
  for (const { directory, manifest } of sources) {
    const sums = await readSums(directory);
    for (const shard of manifest.shards) {
      const file = shardFileAt(state.shards.length);
      for (const [from, to] of [[shard.file, file], [shard.file, file].map(hashesFileOf)]) {
        if (await linkOrCopy(path.join(directory, from), path.join(work, to))) linked++;
        state.sums.push([to, sums.get(from) as string]);
      }
      state.shards.push({ ...shard, file });
      onProgress({ doing: 'linking', done: state.shards.length, total, unit: 'shards' });
    }
  }
  const manifest = await new DatasetWriter(work, target).finish();
  return { manifest, linked, copied: 2 * total - linked };
}

/** @returns whether it is a link: another file system, or one that has none, gets a copy, which may share its blocks. */
async function linkOrCopy(from: string, to: string): Promise<boolean> {
  try {
    await link(from, to);
    return true;
  } catch {
    await copyFile(from, to, constants.COPYFILE_EXCL | constants.COPYFILE_FICLONE).catch((error) => {
      throw explainWriteError(error, to);
    });
    return false;
  }
}

function stopped(): GalvaniError {
  return new GalvaniError({
    stage: 'merge',
    expected: 'to run to the end',
    got: 'a signal to stop',
    remedy: 'Nothing was left behind. Run the same command again.',
    kind: 'tryAgain',
  });
}

function wrongParts(expected: string, got: string): GalvaniError {
  const remedy =
    'Give the folder of every part once, and parts only; what they become may be merged with other datasets.';
  return new GalvaniError({ stage: 'merge', expected, got, remedy, kind: 'badInput' });
}

function withoutDocuments(sources: Source[]): GalvaniError {
  return new GalvaniError({
    stage: 'merge',
    expected: 'at least one document',
    got: `${sources.length} ${sources.length === 1 ? 'dataset' : 'datasets'} without any`,
    where: sources[0].directory,
    remedy: 'Look at what was prepared.',
    kind: 'badInput',
  });
}

function occupied(output: string, got: string, cause?: unknown): GalvaniError {
  return new GalvaniError({
    stage: 'merge',
    expected: 'an output folder that is new or empty',
    got,
    where: output,
    remedy: 'Choose another --output, or remove the folder yourself.',
    kind: 'badInput',
    cause,
  });
}
