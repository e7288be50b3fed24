/** Reads an example index back by what is written about its file, a block after the other, with the ids of the shards. */
import { closeSync, openSync, readFileSync, readSync } from 'node:fs';
import type { ExampleIndex } from '../../src/dataset/examples/examples.js';

/** One example: what opens each piece (0 segment, 1 second part, 2 nothing), and the piece's ids. */
export type IndexedExample = { opening: number; ids: number[] }[];

export function readExamples(index: ExampleIndex): IndexedExample[] {
  const file = readFileSync(index.file);
  const examples: IndexedExample[] = [];
  for (const [block, offset] of index.table.offsets.entries()) {
    const bytes = file.subarray(offset, offset + 4 * index.table.words[block]);
    const word = (i: number) => bytes.readUInt32LE(4 * i);
    const [count, runs, pieces, tokens] = [0, 1, 2, 3].map(word);
    const ids: number[] = [];
    for (let run = 0; run < runs; run++) {
      const [shard, , length, low, high] = [0, 1, 2, 3, 4].map((i) => word(4 + 5 * run + i));
      ids.push(...readIds(index.shardFiles[shard], low + 2 ** 32 * high, length, index.idBytes));
    }
    if (ids.length !== tokens) throw new Error(`block ${block} says ${tokens} tokens, its runs have ${ids.length}`);
    const firsts = 4 + 5 * runs;
    const firstPiece = firsts + count + 1;
    if (firstPiece + 2 * pieces !== index.table.words[block]) throw new Error(`block ${block} has another length`);
    for (let i = 0; i < count; i++) {
      const example: IndexedExample = [];
      for (let piece = word(firsts + i); piece < word(firsts + i + 1); piece++) {
        const place = word(firstPiece + 2 * piece);
        const length = word(firstPiece + 2 * piece + 1) % 2 ** 30;
        const opening = Math.floor(word(firstPiece + 2 * piece + 1) / 2 ** 30);
        example.push({ opening, ids: ids.slice(place, place + length) });
      }
      examples.push(example);
    }
  }
  return examples;
}

function readIds(file: string, offset: number, count: number, idBytes: 2 | 4): number[] {
  const bytes = Buffer.alloc(count * idBytes);
  const descriptor = openSync(file, 'r');
  readSync(descriptor, bytes, 0, bytes.length, offset);
  closeSync(descriptor);
  return Array.from({ length: count }, (_, i) =>
    idBytes === 2 ? bytes.readUInt16LE(2 * i) : bytes.readUInt32LE(4 * i),
  );
}
