/** What a person wants to know of a dataset at a glance. */
import type { TokenDataset } from './dataset.js';
import type { Manifest } from './manifest.js';

export interface DatasetSummary extends Omit<Manifest, 'inputs'> {
  inputs: { files: number; bytes: number };
  tokensPerDocument: { least: number; median: number; mean: number; most: number };
  tokensPerLine: number;
  unknownFraction: number;
}

export function summarizeDataset({ manifest, shards }: TokenDataset): DatasetSummary {
  const { inputs, counts, ...rest } = manifest;
  const lengths = new Uint32Array(counts.documents);
  let document = 0;
  for (const { rows, rowOffsets } of shards) {
    for (let row = 0; row < rows; row++) lengths[document++] = rowOffsets[row + 1] - rowOffsets[row];
  }
  lengths.sort();
  return {
    ...rest,
    counts,
    inputs: { files: inputs.length, bytes: inputs.reduce((sum, input) => sum + input.bytes, 0) },
    tokensPerDocument: {
      least: lengths[0],
      median: lengths[lengths.length >> 1],
      mean: counts.tokens / counts.documents,
      most: lengths[lengths.length - 1],
    },
    tokensPerLine: counts.tokens / counts.lines,
    unknownFraction: counts.unknownTokens / counts.tokens,
  };
}
