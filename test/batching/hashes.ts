/** Batches as hashes: what two loaders, or two processes, made the same is seen at a glance. */
import { createHash } from 'node:crypto';
import { type Batch, openLoader } from '../../src/batching/loader.js';
import type { LoaderOptions } from '../../src/batching/options.js';

function hashOf(batch: Batch): string {
  const hash = createHash('sha256');
  for (const plane of ['ids', 'lengths', 'seconds', 'places', 'seen', 'counts', 'given'] as const) {
    const { buffer, byteOffset, byteLength } = batch[plane]!;
    hash.update(new Uint8Array(buffer, byteOffset, byteLength));
  }
  return `${batch.step} ${batch.T} ${hash.digest('hex').slice(0, 20)}`;
}

/** Step, width and a hash of all planes of the next batches. */
export async function hashBatches(options: LoaderOptions, count: number): Promise<string[]> {
  const loader = await openLoader(options);
  const taken: string[] = [];
  try {
    while (taken.length < count) {
      const batch = (await loader.next())!;
      taken.push(hashOf(batch));
      batch.release();
    }
  } finally {
    await loader.close();
  }
  return taken;
}
