/**
 * Which documents are held out: a pure function of (the document's ids, fraction). Every run on a dataset holds out the same
 * ones whatever its seed; a document held out at one fraction is so at any larger one; and of equal documents all are, or
 * none, in every dataset of one vocabulary, so that training never sees one.
 */
import { hashWords } from './hash.js';
import { hashesFileOf, readHashes } from './hashes.js';

/** hashes  (documents, 4) words of their hashes @returns (documents) 1 for each that is held out */
export function markHeldOut(hashes: Uint32Array, fraction: number): Uint8Array {
  const threshold = Math.round(fraction * 0x100000000);
  return Uint8Array.from({ length: hashes.length / hashWords }, (_, i) => (hashes[hashWords * i] < threshold ? 1 : 0));
}

/** Of a shard, by the hashes that lie beside it. @throws badInput where these are missing or too few. */
export async function readHeldOut(shardFile: string, rows: number, fraction: number): Promise<Uint8Array> {
  const held = new Uint8Array(rows);
  if (fraction === 0) return held;
  let first = 0;
  for await (const hashes of readHashes(hashesFileOf(shardFile), rows)) {
    const marks = markHeldOut(hashes, fraction);
    held.set(marks, first);
    first += marks.length;
  }
  return held;
}
