/**
 * Checks a dataset in full: the checksum of every file, and that the shards hold what the manifest, the token counts and
 * the hashes say, read by Apache Arrow's own reader and not by ours. Memory is one record batch and the hashes of one
 * shard. Every damaged file is named.
 * Files beside that SHA256SUMS does not know (an index that training keeps there) are left alone.
 */
import { open, readFile } from 'node:fs/promises';
import path from 'node:path';
import { type Data, RecordBatchReader } from 'apache-arrow';
import { GalvaniError } from '../errors.js';
import { sha256File } from '../files.js';
import type { TokenIds } from './block.js';
import { checkOffsets, readManifest, readTokenCounts } from './dataset.js';
import { hashWords } from './hash.js';
import { hashDocuments, hashesFileOf } from './hashes.js';
import { type Manifest, manifestFile, sumsFile, tokenCountsFile, vocabularyFile } from './manifest.js';
import { printSums, readSums } from './sums.js';

export interface Verification {
  files: number;
  bytes: number;
  documents: number;
  lines: number;
  tokens: number;
}

interface Damage {
  file: string;
  reason: string;
}

/** What the shards hold, counted anew. */
interface Recount {
  documents: number;
  lines: number;
  tokens: number;
  pieces: Float64Array;
}

/** @throws badInput that names every damaged file. `onFile` is called before each file. */
export async function verifyDataset(directory: string, onFile?: (file: string) => void): Promise<Verification> {
  const manifest = await readManifest(directory);
  const damages = await checkSums(directory, manifest, onFile);
  const recount: Recount = { documents: 0, lines: 0, tokens: 0, pieces: new Float64Array(manifest.vocabulary.size) };
  const wrongHashes: Damage[] = [];
  const isDamaged = (name: string) => damages.some(({ file }) => file === name);
  for (const entry of manifest.shards) {
    const hashesFile = hashesFileOf(entry.file);
    if (isDamaged(entry.file)) continue;
    onFile?.(entry.file);
    const hashes = isDamaged(hashesFile) ? undefined : await readFile(path.join(directory, hashesFile));
    const hashCheck = new HashCheck(hashes);
    const reason = await checkShard(path.join(directory, entry.file), entry, recount, hashCheck);
    if (reason !== undefined) damages.push({ file: entry.file, reason });
    else if (hashCheck.reason !== undefined) wrongHashes.push({ file: hashesFile, reason: hashCheck.reason });
  }
  // Totals tell something only of shards that are whole.
  if (damages.length === 0) damages.push(...(await checkTotals(directory, manifest, recount)));
  damages.push(...wrongHashes);
  if (damages.length > 0) throw damagedDataset(directory, damages);
  return {
    files: 2 * manifest.shards.length + 4,
    bytes: manifest.shards.reduce((sum, shard) => sum + shard.bytes, 0),
    documents: recount.documents,
    lines: recount.lines,
    tokens: recount.tokens,
  };
}

async function checkSums(directory: string, manifest: Manifest, onFile?: (file: string) => void): Promise<Damage[]> {
  const sums = await readSums(directory);
  const shardFiles = manifest.shards.flatMap(({ file }) => [file, hashesFileOf(file)]);
  const wanted = new Set([manifestFile, vocabularyFile, tokenCountsFile, ...shardFiles]);
  const damages: Damage[] = [];
  for (const file of wanted) {
    onFile?.(file);
    const sum = sums.get(file);
    if (sum === undefined) damages.push({ file, reason: 'not in SHA256SUMS' });
    else if ((await sha256OrReason(path.join(directory, file))) !== sum) damages.push({ file, reason: 'checksum' });
  }
  for (const file of sums.keys()) {
    if (!wanted.has(file)) damages.push({ file, reason: 'in SHA256SUMS, but not in the manifest' });
  }
  // What the reader of the sums lets pass, such as a line that is there twice.
  if ((await readFile(path.join(directory, sumsFile), 'utf8')) !== printSums(sums)) {
    damages.push({ file: sumsFile, reason: 'not as it was written' });
  }
  return damages;
}

async function sha256OrReason(file: string): Promise<string> {
  return sha256File(file).catch((error: NodeJS.ErrnoException) => error.code ?? error.message);
}

/** The hashes of a shard against those of its documents, which come a batch at a time. Without any, nothing is compared. */
class HashCheck {
  reason: string | undefined;
  private at = 0;

  constructor(private readonly stored: Uint8Array | undefined) {}

  compare(ids: TokenIds, idOffsets: Int32Array): void {
    if (this.stored === undefined) return;
    const words = new Uint32Array(hashWords * (idOffsets.length - 1));
    hashDocuments(ids, idOffsets, words);
    const found = new Uint8Array(words.buffer);
    if (Buffer.compare(found, this.stored.subarray(this.at, this.at + found.length)) !== 0)
      this.reason ??= 'hashes that its documents do not have';
    this.at += found.length;
  }

  end(): void {
    if (this.stored !== undefined && this.at < this.stored.length) this.reason ??= 'more hashes than documents';
  }
}

/** @returns what is wrong, if anything; adds to `recount`. */
async function checkShard(
  file: string,
  entry: Manifest['shards'][number],
  recount: Recount,
  hashCheck: HashCheck,
): Promise<string | undefined> {
  const before = { documents: recount.documents, tokens: recount.tokens };
  const handle = await open(file, 'r');
  try {
    const reader = await RecordBatchReader.from(handle);
    for await (const batch of reader) {
      const [ids, lineEnds] = batch.data.children;
      countBatch(ids, lineEnds, recount, hashCheck);
    }
  } catch (error) {
    return error instanceof Error ? error.message : String(error);
  } finally {
    await handle.close().catch(() => {});
  }
  const rows = recount.documents - before.documents;
  const tokens = recount.tokens - before.tokens;
  hashCheck.end();
  if (rows === entry.rows && tokens === entry.tokens) return undefined;
  return `${rows} rows and ${tokens} tokens, not ${entry.rows} and ${entry.tokens}`;
}

function countBatch(idLists: Data, lineLists: Data, recount: Recount, hashCheck: HashCheck): void {
  // Buffers are padded to 8 bytes: the lengths say how much of them counts.
  const rows = idLists.length;
  const ids: Uint16Array | Uint32Array = idLists.children[0].values.subarray(0, idLists.children[0].length);
  const lineEnds: Uint32Array = lineLists.children[0].values.subarray(0, lineLists.children[0].length);
  const idOffsets: Int32Array = idLists.valueOffsets.subarray(0, rows + 1);
  const lineOffsets: Int32Array = lineLists.valueOffsets.subarray(0, rows + 1);
  checkOffsets(idOffsets, ids.length);
  checkOffsets(lineOffsets, lineEnds.length);
  for (let i = 0; i < ids.length; i++) {
    if (ids[i] >= recount.pieces.length) throw new RangeError(`id ${ids[i]} beyond the vocabulary`);
    recount.pieces[ids[i]]++;
  }
  for (let row = 0; row < rows; row++) {
    checkLineEnds(lineEnds.subarray(lineOffsets[row], lineOffsets[row + 1]), idOffsets[row + 1] - idOffsets[row]);
  }
  hashCheck.compare(ids, idOffsets);
  recount.documents += rows;
  recount.lines += lineEnds.length;
  recount.tokens += ids.length;
}

/** Lines are not empty, follow each other, and the last one ends with the document. */
function checkLineEnds(lineEnds: Uint32Array, tokens: number): void {
  let end = 0;
  for (const lineEnd of lineEnds) {
    if (lineEnd <= end) throw new RangeError(`line end ${lineEnd} after ${end}`);
    end = lineEnd;
  }
  if (end !== tokens) throw new RangeError(`a last line end ${end} in a document of ${tokens} tokens`);
}

async function checkTotals(directory: string, manifest: Manifest, recount: Recount): Promise<Damage[]> {
  const damages: Damage[] = [];
  for (const key of ['documents', 'lines', 'tokens'] as const) {
    if (manifest.counts[key] === recount[key]) continue;
    damages.push({ file: manifestFile, reason: `${manifest.counts[key]} ${key}, the shards hold ${recount[key]}` });
  }
  const counts = await readTokenCounts({ directory, manifest });
  const wrong = counts.findIndex((count, id) => count !== recount.pieces[id]);
  if (wrong >= 0) {
    const reason = `${counts[wrong]} times id ${wrong}, the shards hold ${recount.pieces[wrong]}`;
    damages.push({ file: tokenCountsFile, reason });
  }
  return damages;
}

function damagedDataset(directory: string, damages: Damage[]): GalvaniError {
  const named = damages.slice(0, 10).map(({ file, reason }) => `${file} (${reason})`);
  if (damages.length > named.length) named.push(`${damages.length - named.length} more`);
  return new GalvaniError({
    stage: 'verify',
    expected: 'files as they were written',
    got: `damage in ${named.join(', ')}`,
    where: directory,
    remedy: 'Bring these files back from a copy, or run "galvani prepare" again into a new folder.',
    kind: 'badInput',
  });
}
