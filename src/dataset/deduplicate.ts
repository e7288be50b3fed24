/**
 * Writes new shards of the documents that equal no earlier one. Which those are is told by their hashes (duplicates.ts);
 * what is counted of tokens and lines is counted anew. Memory: a bit a document, then a record batch or two.
 */
import path from 'node:path';
import type { TokenBlock, TokenIds } from './block.js';
import { damaged } from './damage.js';
import { readBatches } from './documents.js';
import { type DocumentMarks, findDuplicates } from './duplicates.js';
import { hashesFileOf } from './hashes.js';
import type { Manifest } from './manifest.js';
import type { BatchRows } from './shard.js';
import type { MergeProgress, MergeTarget, Source } from './sources.js';
import { DatasetWriter } from './writer.js';

/** @returns the manifest of what is in `work` now. */
export async function writeFirsts(
  sources: Source[],
  work: string,
  { state, ...target }: MergeTarget,
  onProgress: (progress: MergeProgress) => void,
): Promise<Manifest> {
  const shards = sources.flatMap(({ directory, manifest }) =>
    manifest.shards.map(({ file, rows }) => ({ file: path.join(directory, file), rows })),
  );
  const total = shards.reduce((sum, { rows }) => sum + rows, 0);
  const duplicates = await findDuplicates(
    shards.map(({ file, rows }) => ({ file: hashesFileOf(file), documents: rows })),
    {
      temporary: path.join(work, 'partitions.tmp'),
      onProgress: (done) => onProgress({ doing: 'comparing hashes', done, total, unit: 'documents' }),
    },
  );
  const { idType } = sources[0].manifest;
  state.leftOut.duplicates += duplicates.count;
  const writer = new DatasetWriter(work, {
    ...target,
    state: { ...state, pieces: state.pieces.map(() => 0), lines: 0 },
  });
  try {
    let done = 0;
    for (const { file, rows } of shards) {
      const end = done + rows;
      for await (const batch of readBatches(file, idType)) {
        const block = withoutMarked(batch, duplicates, done);
        writer.countBlock(block, 1);
        await writer.append(block);
        done += batch.idOffsets.length - 1;
        onProgress({ doing: 'writing documents', done, total, unit: 'documents' });
      }
      if (done !== end) throw damaged(file, `${rows} documents`, String(rows + done - end));
    }
    return await writer.finish();
  } finally {
    await writer.abandon();
  }
}

/** The rows that are not marked, as a block: their ids and line ends are moved together where they lie. */
function withoutMarked(rows: BatchRows, marks: DocumentMarks, firstDocument: number): TokenBlock {
  const { ids, idOffsets, lineEnds, lineOffsets } = rows;
  const borders = new Uint32Array(idOffsets.length - 1);
  let kept = 0;
  let tokens = 0;
  let lines = 0;
  for (let row = 0; row < borders.length; row++) {
    if (marks.has(firstDocument + row)) continue;
    const [start, end] = [idOffsets[row], idOffsets[row + 1]];
    if (start !== tokens) ids.copyWithin(tokens, start, end);
    for (let line = lineOffsets[row]; line < lineOffsets[row + 1]; line++) lineEnds[lines++] = tokens + lineEnds[line];
    tokens += end - start;
    borders[kept++] = lines;
  }
  return {
    ids: ids.subarray(0, tokens) as TokenIds,
    lineEnds: lineEnds.subarray(0, lines),
    borders: borders.subarray(0, kept),
  };
}
