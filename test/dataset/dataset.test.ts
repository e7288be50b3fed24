/** Shards are read back by Apache Arrow's own reader: the oracle for where our reader says that tokens lie. */
import assert from 'node:assert/strict';
import { createHash } from 'node:crypto';
import { mkdirSync, mkdtempSync, readdirSync, readFileSync, rmSync, writeFileSync } from 'node:fs';
import os from 'node:os';
import path from 'node:path';
import { after, test } from 'node:test';
import { tableFromIPC } from 'apache-arrow';
import fc from 'fast-check';
import type { TokenBlock } from '../../src/dataset/block.js';
import { openDataset, readTokenCounts, type Shard } from '../../src/dataset/dataset.js';
import { DatasetWriter } from '../../src/dataset/writer.js';
import { blockOf, countsOf, type Documents, readShards, writeSyntheticDataset } from './synthetic.js';

const folder = mkdtempSync(path.join(os.tmpdir(), 'galvani-dataset-'));
after(() => rmSync(folder, { recursive: true }));
let made = 0;
const fresh = () => path.join(folder, `d${made++}`);

/** Ids of a whole shard, by the pieces alone. */
function readIds(shard: Shard, idBytes: 2 | 4): number[] {
  const bytes = readFileSync(shard.path);
  const ids: number[] = [];
  for (let token = 0; token < shard.tokens; token++) {
    const piece = shard.pieces.find((p) => token >= p.firstToken && token < p.firstToken + p.tokens)!;
    const at = piece.fileOffset + idBytes * (token - piece.firstToken);
    ids.push(idBytes === 2 ? bytes.readUInt16LE(at) : bytes.readUInt32LE(at));
  }
  return ids;
}

function readByArrow(directory: string, files: string[]): Documents {
  const documents: Documents = [];
  for (const file of files) {
    for (const row of tableFromIPC(readFileSync(path.join(directory, file)))) {
      const ids = [...row.input_ids] as number[];
      const ends = [...row.line_ends] as number[];
      documents.push(ends.map((end, i) => ids.slice(i === 0 ? 0 : ends[i - 1], end)));
    }
  }
  return documents;
}

const id = fc.integer({ min: 0, max: 99 });
const documents = fc.array(fc.array(fc.array(id, { minLength: 1, maxLength: 7 }), { minLength: 1, maxLength: 4 }), {
  minLength: 1,
  maxLength: 30,
});

for (const vocabularySize of [100, 70_000]) {
  test(`every document and line comes back, by Arrow and by our offsets (${vocabularySize} pieces)`, async () => {
    const settings = fc.record({
      shardTokens: fc.integer({ min: 1, max: 60 }),
      batchTokens: fc.integer({ min: 1, max: 40 }),
    });
    await fc.assert(
      fc.asyncProperty(documents, settings, async (wanted, { shardTokens, batchTokens }) => {
        const directory = fresh();
        const manifest = await writeSyntheticDataset(directory, wanted, { vocabularySize, shardTokens, batchTokens });
        const files = manifest.shards.map((shard) => shard.file);
        assert.deepEqual(readByArrow(directory, files), wanted);

        const dataset = await openDataset(directory);
        assert.equal(dataset.idBytes, vocabularySize > 0x10000 ? 4 : 2);
        const read = (await readShards(directory)).flatMap((shard) => {
          const ids = readIds(shard, dataset.idBytes);
          return Array.from({ length: shard.rows }, (_, row) => {
            const tokens = ids.slice(shard.rowOffsets[row], shard.rowOffsets[row + 1]);
            const ends = shard.lineEnds!.subarray(shard.lineOffsets![row], shard.lineOffsets![row + 1]);
            return Array.from(ends, (end, line) => tokens.slice(line === 0 ? 0 : ends[line - 1], end));
          });
        });
        assert.deepEqual(read, wanted);
        const counts = new Float64Array(vocabularySize);
        for (const id of wanted.flat(2)) counts[id]++;
        assert.deepEqual(await readTokenCounts(dataset), counts);
        assert.equal(manifest.counts.lines, wanted.flat().length);
      }),
      { seed: 1, numRuns: 60 },
    );
  });
}

test('the bytes do not depend on how documents are cut into blocks', async () => {
  const wanted: Documents = [[[1, 2, 3], [4]], [[5, 6]], [[7]], [[8, 9, 10, 11], [12, 13], [14]]];
  const whole = fresh();
  await writeSyntheticDataset(whole, wanted, { shardTokens: 6, batchTokens: 4 });
  const block = blockOf(wanted, 100);
  for (let lines = 1; lines <= block.lineEnds.length; lines++) {
    const cut = fresh();
    mkdirSync(cut);
    const description = JSON.parse(readFileSync(path.join(whole, 'manifest.json'), 'utf8'));
    const { tokenizer, settings, inputs } = description;
    const vocabulary = readFileSync(path.join(whole, 'vocab.txt'));
    const writer = new DatasetWriter(cut, {
      vocabulary: { bytes: vocabulary, size: 100, unknownId: 1 },
      description: { tokenizer, settings, inputs },
      batchTokens: 4,
    });
    for (let first = 0; first < block.lineEnds.length; first += lines) {
      const part = cutLines(block, first, Math.min(first + lines, block.lineEnds.length));
      await writer.append(part);
      writer.addCounts(countsOf(part, 100));
    }
    await writer.finish();
    for (const file of readdirSync(whole)) {
      assert.deepEqual(readFileSync(path.join(cut, file)), readFileSync(path.join(whole, file)), `${file}, ${lines}`);
    }
  }
});

function cutLines(block: TokenBlock, first: number, end: number): TokenBlock {
  const from = first === 0 ? 0 : block.lineEnds[first - 1];
  const ids = block.ids.slice(from, block.lineEnds[end - 1]);
  return {
    ids,
    lineEnds: block.lineEnds.slice(first, end).map((lineEnd) => lineEnd - from),
    // A border at a cut is told by both sides: twice is the same as once.
    borders: block.borders.filter((border) => border >= first && border <= end).map((border) => border - first),
  };
}

test('SHA256SUMS covers every other file', async () => {
  const directory = fresh();
  await writeSyntheticDataset(directory, [[[1, 2]], [[3]]], { shardTokens: 1 });
  const lines = readFileSync(path.join(directory, 'SHA256SUMS'), 'utf8').trimEnd().split('\n');
  const files = readdirSync(directory).filter((file) => file !== 'SHA256SUMS');
  assert.deepEqual(
    lines,
    files.sort().map((file) => {
      const hash = createHash('sha256').update(readFileSync(path.join(directory, file)));
      return `${hash.digest('hex')}  ${file}`;
    }),
  );
});

test('a folder that is no dataset, or is damaged, is refused by name', async () => {
  await assert.rejects(openDataset(folder), /expected a folder made by "galvani prepare", got one without manifest/);
  const cases: [string, (bytes: Buffer) => Buffer, RegExp][] = [
    ['manifest.json', (b) => Buffer.from(b.toString().replace('"lines": 2', '"lines": 3')), /manifest\.json/],
    ['manifest.json', (b) => Buffer.from(b.toString().replace('"uint16"', '"uint64"')), /idType.*manifest\.json/],
    ['manifest.json', (b) => b.subarray(1), /manifest\.json/],
    ['vocab.txt', (b) => Buffer.concat([b, Buffer.from('x\n')]), /vocab\.txt/],
    ['SHA256SUMS', (b) => b.subarray(0, -1), /SHA256SUMS/],
    ['shard-00000.arrow', (b) => b.subarray(0, -1), /shard-00000\.arrow/],
    ['shard-00000.arrow', (b) => Buffer.concat([b.subarray(0, -1), Buffer.from('x')]), /shard-00000\.arrow/],
  ];
  for (const [file, damage, message] of cases) {
    const directory = fresh();
    await writeSyntheticDataset(directory, [[[1, 2]], [[3]]]);
    const name = path.join(directory, file);
    writeFileSync(name, damage(readFileSync(name)));
    // A shard's inside is looked at when it is read.
    await assert.rejects(
      openDataset(directory).then(() => readShards(directory)),
      message,
    );
  }
});
