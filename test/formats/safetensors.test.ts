import assert from 'node:assert/strict';
import { mkdtemp, readdir, readFile, rm, writeFile } from 'node:fs/promises';
import os from 'node:os';
import path from 'node:path';
import { after, before, test } from 'node:test';
import { GalvaniError } from '../../src/errors.js';
import {
  encodeSafetensors,
  readSafetensors,
  type StoredTensor,
  writeSafetensors,
} from '../../src/formats/safetensors.js';

let folder: string;
before(async () => {
  folder = await mkdtemp(path.join(os.tmpdir(), 'galvani-safetensors-'));
});
after(() => rm(folder, { recursive: true }));

const sample = new Map<string, StoredTensor>([
  ['weights', { shape: [2, 3], values: new Float32Array([1.5, -0, Number.NaN, Infinity, 1e-45, 3]) }],
  ['größe "x"\n', { shape: [2], values: new Int32Array([-(2 ** 31), 7]) }],
  ['scalar', { shape: [], values: new Float32Array([2]) }],
  ['nothing', { shape: [0, 4], values: new Float32Array(0) }],
]);

test('what is written is read: names, order, shapes, every bit, metadata', async () => {
  const file = path.join(folder, 'sample.safetensors');
  await writeSafetensors(file, sample, { format: 'pt', note: 'ü' });
  const { tensors, metadata } = await readSafetensors(file);
  assert.deepEqual({ ...metadata }, { format: 'pt', note: 'ü' });
  assert.deepEqual([...tensors.keys()], [...sample.keys()]);
  for (const [name, { shape, values }] of sample) {
    const read = tensors.get(name)!;
    assert.deepEqual(read.shape, shape);
    assert.equal(read.values.constructor, values.constructor);
    assert.deepEqual(bytesOf(read.values), bytesOf(values));
  }
});

test('a slice of a larger array is written as the slice', async () => {
  const file = path.join(folder, 'slice.safetensors');
  const all = Float32Array.from({ length: 10 }, (_, i) => i);
  await writeSafetensors(file, new Map([['slice', { shape: [3], values: all.subarray(4, 7) }]]));
  const { tensors, metadata } = await readSafetensors(file);
  assert.deepEqual([...tensors.get('slice')!.values], [4, 5, 6]);
  assert.deepEqual(metadata, {});
});

test('equal tensors give equal bytes, and the values begin at a multiple of 8', () => {
  const first = Buffer.concat(encodeSafetensors(sample, { format: 'pt' }));
  assert.deepEqual(first, Buffer.concat(encodeSafetensors(new Map(sample), { format: 'pt' })));
  assert.equal(first.readBigUInt64LE() % 8n, 0n);
});

test('files written by Python come out byte for byte when written again', async () => {
  const root = path.resolve('../shared/data/electra-parity');
  const files = (await readdir(root, { recursive: true })).filter(
    (file) => file.endsWith('.safetensors') && !/fp16|bf16/.test(file),
  );
  assert.ok(files.length > 20, `only ${files.length} fixtures`);
  for (const file of files) {
    const { tensors, metadata } = await readSafetensors(path.join(root, file));
    const hasMetadata = Object.keys(metadata).length > 0;
    // The header need not be in the order of the data; Python writes data by type, then by name.
    const ordered = [...tensors].sort(([, a], [, b]) => a.values.byteOffset - b.values.byteOffset);
    const again = Buffer.concat(encodeSafetensors(new Map(ordered), hasMetadata ? metadata : undefined));
    assert.ok(again.equals(await readFile(path.join(root, file))), file);
  }
});

test('other types of values are refused by name', async () => {
  const half = path.resolve('../shared/data/electra-parity/formats/discriminator/model.fp16.safetensors');
  await assert.rejects(readSafetensors(half), /expected values of type F32 or I32, got F16 \(.*fp16.*, tensor [a-z]/);
});

test('a file that is not there is named', async () => {
  await assert.rejects(
    readSafetensors(path.join(folder, 'absent')),
    /^GalvaniError: safetensors: .*ENOENT \(.*absent\)/,
  );
});

const whole = Buffer.concat(encodeSafetensors(sample));

test('a file cut anywhere is refused', async () => {
  const file = path.join(folder, 'cut');
  for (let length = 0; length < whole.length; length++) {
    await writeFile(file, whole.subarray(0, length));
    await assert.rejects(readSafetensors(file), isBadInput, `${length} bytes`);
  }
});

const damages: [string, string, RegExp][] = [
  [
    'offsets beyond the file',
    '{"a":{"dtype":"F32","shape":[3],"data_offsets":[0,12]}}',
    /byte 12, got .*at 8 .*tensor a/,
  ],
  [
    'offsets that begin late',
    '{"a":{"dtype":"F32","shape":[1],"data_offsets":[4,8]}}',
    /from byte 0.*byte 4 .*tensor a/,
  ],
  [
    'bytes that belong to no tensor',
    '{"a":{"dtype":"F32","shape":[1],"data_offsets":[0,4]}}',
    /4 bytes of data, got 8 bytes/,
  ],
  [
    'tensors that overlap',
    '{"a":{"dtype":"F32","shape":[2],"data_offsets":[0,8]},"b":{"dtype":"I32","shape":[1],"data_offsets":[4,8]}}',
    /from byte 8, where a ends, got byte 4 .*tensor b/,
  ],
  [
    'a size that is not its shape',
    '{"a":{"dtype":"F32","shape":[2],"data_offsets":[0,4]}}',
    /8 bytes for shape \[2\].*tensor a/,
  ],
  ['offsets in reverse', '{"a":{"dtype":"F32","shape":[2],"data_offsets":[8,0]}}', /offsets 8 to 0 .*tensor a/],
  ['a negative extent', '{"a":{"dtype":"F32","shape":[-2],"data_offsets":[0,8]}}', /dtype, shape.*tensor a/],
  ['a missing field', '{"a":{"dtype":"F32","shape":[2]}}', /dtype, shape.*tensor a/],
  [
    'a huge shape',
    '{"a":{"dtype":"F32","shape":[9007199254740991,9007199254740991],"data_offsets":[0,8]}}',
    /tensor a/,
  ],
  ['a header that is no JSON', '{"a":', /JSON in UTF-8/],
  ['a header that is a list', '[]', /maps names to tensors/],
  ['metadata that is no text', '{"__metadata__":{"a":1}}', /__metadata__/],
];
for (const [name, header, message] of damages) {
  test(`${name}: refused by file and tensor`, async () => {
    const file = path.join(folder, 'damaged.safetensors');
    const head = Buffer.alloc(8);
    head.writeBigUInt64LE(BigInt(header.length));
    await writeFile(file, Buffer.concat([head, Buffer.from(header), Buffer.alloc(8)]));
    await assert.rejects(readSafetensors(file), (error: Error) => {
      assert.match(error.message, message);
      assert.match(error.message, /damaged\.safetensors/);
      return isBadInput(error);
    });
  });
}

test('a header longer than the format allows is refused before it is read', async () => {
  const file = path.join(folder, 'long');
  await writeFile(file, Buffer.alloc(16, 0xff));
  await assert.rejects(readSafetensors(file), /at most 100000000 bytes/);
});

function isBadInput(error: unknown): boolean {
  return error instanceof GalvaniError && error.kind === 'badInput';
}

function bytesOf({ buffer, byteOffset, byteLength }: Float32Array | Int32Array): Uint8Array {
  return new Uint8Array(buffer, byteOffset, byteLength);
}
