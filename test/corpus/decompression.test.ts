/**
 * Compressed files of the corpus: whatever the members and however the stream is cut, the text is what was compressed, and what
 * is damaged is told after all that was good. gzip members are node:zlib's, zstd frames those of zstd(1) 1.5.4 and pyarrow.
 */
import assert from 'node:assert/strict';
import { spawnSync } from 'node:child_process';
import { existsSync, mkdtempSync, readdirSync, readFileSync, rmSync, writeFileSync } from 'node:fs';
import os from 'node:os';
import path from 'node:path';
import { after, test } from 'node:test';
import zlib, { constants, crc32, deflateRawSync, gzipSync } from 'node:zlib';
import { CompressedInput } from '../../src/corpus/readers/compressedInput.js';
import { type Compression, Damage, decompress, decompressInto } from '../../src/corpus/readers/decompression.js';
import { Xxh64 } from '../../src/corpus/readers/xxh64.js';
import { unzstd } from '../../src/corpus/readers/zstd.js';
import { needPython } from '../python.js';
import { randomInts } from '../random.js';

const folder = mkdtempSync(path.join(os.tmpdir(), 'galvani-decompression-'));
after(() => rmSync(folder, { recursive: true }));

const text = Buffer.from(
  [
    'Text is bytes until it is ids. No JavaScript string is made on the hot path: file → wasm memory → ids → Arrow shard. ',
    'Nothing random is stateful. Every draw is at a named counter: order, masks, replacements, dropout, noise, weights.\n',
    `Text is bytes, and every counter draws: 中文 ${'aaaa'.repeat(30)} masks, order, noise. `,
    '\n.sthgiew ,esion ,tuopord ,stnemecalper ,sksam ,redro :retnuoc deman a ta si ward yrevE .lufetats si modnar gnihtoN ',
    '.drahs worrA → sdi → yromem msaw → elif :htap toh eht no edam si gnirts tpircSavaJ oN .sdi si ti litnu setyb si txeT',
  ].join(''),
);
/** `zstd -19 --check` and `zstd -1 --no-check` of the text; `--check --no-content-size` of nothing and of "short". */
const checkedFrame = base64(
  'KLUv/QRoHQsAZhtKI6ApHV1V40DFuZvxfsknkgRE7m1OtjW5xDhHygdvJAv9ujUCQAA/AEEAt6vV3uJHuitglY5VhuyML3rkUTk6mXhg9T1vXcfVb3pUx855Rcttfj+5jeEYR7gWzrDKvJPdoDO2A3HOdwMPAQHGq3ZPAIZ7KRKjJ+TU9tSQPrrqibshw+acB/eJF3zsaVGtPrDYDdLmCtm13/uiW3XHImNwxoES2Nd8zjNVLcq4rzEBOcwHDFzH1V705F//3o6heqNQa9zAdRVuOjtecPri41yDDFtzulp9FOr0psmYHmEqVjMDOHOHSC4TiuUBB2z0k49wNPKh1uk8+8knHOMMzebT597ks1N4be+FX9p/rlfgiXQwOmZnyHQdqViwq9F53SrmBe2VTfG9pgIVAE8E8EXUpBD5vblq7uIleNwJkfyMszXImhdQPHkdIrRI0EZrSdyccSeyhNE+HHPl3DGzxSVMJkyhhPM=',
);
const uncheckedFrame = base64(
  'KLUv/QBIPQsA5t9UKJAlTQfY/18+O1MVzptif7JEktDk7s9lNyuyxSuMGS/VsuL2+nrdDAJJAEgASwCZWg8vbi3xF90luNM858s7zXNmVaG6YlvuNM8RScQNqS15azqm/tLjmTrnj5Xb/E5yjQNLmMH18IIvz/nOI9lLOWMzCed8LyBCBl5s78xiAn/LjgYK7nQkLkfIqeuoFU1074h7oULDkAT3iBXY1NHird6w2EtR44fK1u1t5/xie2cWEwUvEAWBbc3nvNJbtj9WKdfxtXWqnnxua0QoSPGCBC7zW1uefOvblym8G6qsxjVc93DRlbECoy8miBmocDWj32qiSqMvTUb0BfNIzcXAi8VbtQMIUEDAAAIPCLjQT34C08hXVify7Cc/j4sf9AaWsANjM+lzb67jyVd2eF3vhE/aT6yT4YhE8E7zfDFWV6h0mTvN8zy+0zwn2NXlnGyv+EE7BQBJy5o1REDxtLR4vTt+GCk=',
);
const emptyFrame = Buffer.from('28b52ffd040001000099e9d851', 'hex');
const shortFrame = Buffer.from('28b52ffd045829000073686f7274a4a96141', 'hex');
const skippableFrame = Buffer.from('5a2a4d18050000006d61726b21', 'hex');

interface Case {
  name: string;
  read: (source: AsyncIterable<Uint8Array>) => AsyncGenerator<Uint8Array>;
  /** Members or frames, each with its text. Damage to any byte of the first shows. */
  members: { bytes: Buffer; text: Buffer }[];
}

const none = Buffer.alloc(0);
const short = Buffer.from('short');
const zstdMembers = [
  { bytes: checkedFrame, text },
  { bytes: skippableFrame, text: none },
  { bytes: emptyFrame, text: none },
  { bytes: uncheckedFrame, text },
  { bytes: shortFrame, text: short },
];
const cases: Case[] = [
  {
    name: 'gzip',
    read: (source) => decompress(source, 'gzip'),
    members: [
      { bytes: gzipSync(text), text },
      { bytes: gzipSync(none), text: none },
      { bytes: withFields(gzipSync(text, { level: 0 })), text },
      { bytes: gzipSync(short), text: short },
    ],
  },
  { name: 'zstd', read: (source) => decompress(source, 'zstd'), members: zstdMembers },
];
// Where the runtime has zstd, the other decoder is tested too.
if ('createZstdDecompress' in zlib) {
  const read = (source: AsyncIterable<Uint8Array>) =>
    unzstd(new CompressedInput(source[Symbol.asyncIterator](), () => {}), null);
  cases.push({ name: 'zstd by fzstd', read, members: zstdMembers });
}

/** All that came out, and what was thrown after it. */
async function collect(pieces: AsyncIterable<Uint8Array>): Promise<{ text: Buffer; damage?: Damage }> {
  const taken: Uint8Array[] = [];
  try {
    for await (const piece of pieces) taken.push(Uint8Array.from(piece));
  } catch (damage) {
    assert.ok(damage instanceof Damage, String(damage));
    return { text: Buffer.concat(taken), damage };
  }
  return { text: Buffer.concat(taken) };
}

/** The bytes in pieces of these lengths, used again and again; no lengths: one piece. */
async function* cut(bytes: Uint8Array, ...lengths: number[]): AsyncGenerator<Uint8Array> {
  for (let at = 0, i = 0; at < bytes.length; i++) {
    const length = lengths.length === 0 ? bytes.length : lengths[i % lengths.length];
    yield bytes.subarray(at, at + length);
    at += length;
  }
}

for (const { name, read, members } of cases) {
  const whole = Buffer.concat(members.map(({ bytes }) => bytes));
  const wholeText = Buffer.concat(members.map((member) => member.text));
  const borders = members.map((_, i) => Buffer.concat(members.slice(0, i).map(({ bytes }) => bytes)).length);

  test(`${name}: several members, however the stream is cut`, async () => {
    const lengths = [[], [1], [2, 3], [7], ...[1, 2, 3, 4].map((seed) => [...randomInts(40, seed, 90)])];
    for (const sizes of lengths)
      assert.deepEqual(await collect(read(cut(whole, ...sizes))), { text: wholeText }, String(sizes));
  });

  test(`${name}: cut short at any byte, the text before is given, then the damage at the end`, async () => {
    for (let length = 0; length < whole.length; length++) {
      const { text: given, damage } = await collect(read(cut(whole.subarray(0, length), 61)));
      const isBorder = length > 0 && borders.includes(length);
      assert.equal(damage === undefined, isBorder, `${length} bytes`);
      if (damage !== undefined) assert.equal(damage.offset, length);
      const complete = members
        .filter(({ bytes }, i) => borders[i] + bytes.length <= length)
        .map((member) => member.text);
      assert.ok(given.length >= Buffer.concat(complete).length, `${length} bytes: text of whole members is missing`);
      assert.ok(wholeText.subarray(0, given.length).equals(given), `${length} bytes: other text`);
    }
  });

  test(`${name}: no changed byte of a member with a checksum goes unnoticed`, async () => {
    const [{ bytes }] = members;
    for (let at = 0; at < bytes.length; at++) {
      for (const bits of [0x01, 0x80, 0xff]) {
        const changed = Buffer.from(bytes);
        changed[at] ^= bits;
        const { text: given, damage } = await collect(read(cut(changed)));
        assert.ok(damage !== undefined || given.equals(text), `byte ${at} ^ ${bits}`);
      }
    }
  });

  test(`${name}: what follows the last member and is none is damage at its place`, async () => {
    for (const rest of ['x', 'garbage that is longer than any header', '\x1f\x8c', '\x28\xb5\x2f\xfe']) {
      const bytes = Buffer.concat([whole, Buffer.from(rest, 'latin1')]);
      for (const sizes of [[], [1], [whole.length]]) {
        const { text: given, damage } = await collect(read(cut(bytes, ...sizes)));
        assert.ok(given.equals(wholeText));
        assert.equal(damage?.offset, whole.length);
      }
    }
  });

  test(`${name}: an empty file is damage, as for the command`, async () => {
    const { damage } = await collect(read(cut(none)));
    assert.deepEqual(damage?.complaint.got, 'an empty file');
  });
}

test('ending early ends the source', async () => {
  for (const [compression, bytes] of [
    ['gzip', gzipSync(text)],
    ['zstd', checkedFrame],
  ] as const) {
    let isOpen = true;
    async function* source() {
      try {
        for (;;) yield bytes;
      } finally {
        isOpen = false;
      }
    }
    for await (const _ of decompress(source(), compression)) break;
    assert.equal(isOpen, false);
  }
});

test('gzip: zeros behind members are padding', async () => {
  const zeros = Buffer.alloc(5000);
  const member = gzipSync(text);
  for (const sizes of [[], [1], [member.length], [member.length + 3]]) {
    const between = Buffer.concat([member, zeros, member, zeros]);
    assert.deepEqual(await collect(decompress(cut(between, ...sizes), 'gzip')), { text: Buffer.concat([text, text]) });
    const { text: given, damage } = await collect(
      decompress(cut(Buffer.concat([member, zeros, short]), ...sizes), 'gzip'),
    );
    assert.ok(given.equals(text));
    assert.equal(damage?.offset, member.length + zeros.length);
  }
});

test('gzip: damage in a long member comes after the text before it, of all but the last call', async () => {
  const long = Buffer.from(randomInts(1 << 20, 3, 256));
  // Stored blocks of 64 KiB at most: one of their headers is hit.
  const bytes = gzipSync(long, { level: 0 });
  const at = bytes.length >> 1;
  bytes.fill(0x77, at, at + (1 << 16));
  const { text: given, damage } = await collect(decompress(cut(bytes, 10_000), 'gzip'));
  assert.ok(damage !== undefined && damage.offset <= at + (1 << 16) && damage.offset > at - (1 << 18), String(damage));
  const sure = given.subarray(0, (long.length >> 1) - (1 << 18));
  assert.ok(sure.length > 0 && long.subarray(0, sure.length).equals(sure));
});

test('zstd: windows larger than 128 MiB and dictionaries are refused', async () => {
  const frame = (...header: number[]) => Buffer.from([0x28, 0xb5, 0x2f, 0xfd, ...header, 1, 0, 0]);
  const complaints = [
    // 2^27 bytes and an eighth; a dictionary of one byte; 2^63 bytes in one segment.
    { header: frame(0, (17 << 3) | 1), got: '150994944' },
    { header: frame(0x21, 7, 0), got: 'one with dictionary 7' },
    { header: frame(0xe0, 0, 0, 0, 0, 0, 0, 0, 0x80), got: String(2 ** 63) },
  ];
  for (const { header, got } of complaints) {
    const { damage } = await collect(decompress(cut(Buffer.concat([shortFrame, header])), 'zstd'));
    assert.equal(damage?.complaint.got, got);
    assert.equal(damage?.offset, shortFrame.length);
  }
  assert.deepEqual(await collect(decompress(cut(frame(0, 17 << 3)), 'zstd')), { text: none });
});

test('XXH64 is that of zstd(1), for every length of the rest, however the bytes are cut', () => {
  const expected =
    `51d8e999 bc1f4bb6 32706303 52e564c9 66ee9fda db7051fe 8d5ce4c4 59ce60d8 c6f90092 975b4c02 e2d8a98c 57cf1a1f 33af5133 08f5bfc8 acfa5a14 43cc8e32 2b787be2 f1b97a7a c4cf5e78 171250d0 da6b00cb 02af71eb a258ff36 fb0205c0 4694ff81 84186902 6e1cab15 55292fc8 2ff25c75 be7d2537 b139424f cc4a6119 f790fd97 ba588784 a6aad624 11d2913b cc5e3f7f 02f5a3fd f9acce05 606e4b37 253d76b6 38735fa8 d9c4f252 7cc20cee ab40edb0 897c4b41 647262ac c5ad205e 544338ee ff28e5bc dd4d0dbd dba4740b bc67d6ee 91e6f04e 92910190 dd86507a e51a88e9 de03cb88 51ea5e64 cfafe592 0e736d93 b669d981 ad02b5b1 31c7493c f6eeb01f b2bd12f1`.split(
      /\s+/,
    );
  expected.forEach((sum, length) => {
    const bytes = Uint8Array.from({ length }, (_, i) => i * 7 + 3);
    for (const piece of [1, 5, 32, 33, 100]) {
      const hash = new Xxh64();
      for (let at = 0; at < length; at += piece) hash.update(bytes.subarray(at, at + piece));
      assert.equal(hash.low32().toString(16).padStart(8, '0'), sum, `${length} bytes by ${piece}`);
    }
  });
  const hash = new Xxh64();
  hash.update(Uint8Array.from({ length: 100_003 }, (_, i) => i * i * 31 + Math.floor(i / 7)));
  assert.equal(hash.low32().toString(16), '66bf4176');
});

/** 1 GiB of zeros in some hundred kilobytes. */
function bombs(): { compression: Compression; bytes: Buffer }[] {
  const zeros = Buffer.alloc(1 << 25);
  const part = deflateRawSync(zeros, { finishFlush: constants.Z_FULL_FLUSH });
  let crc = 0;
  for (let i = 0; i < 32; i++) crc = crc32(zeros, crc);
  const trailer = Buffer.alloc(8);
  trailer.writeUInt32LE(crc, 0);
  trailer.writeUInt32LE(2 ** 30, 4);
  const header = gzipSync(none).subarray(0, 10);
  const gzip = Buffer.concat([header, ...Array(32).fill(part), Buffer.from([3, 0]), trailer]);
  // Blocks of one byte that is repeated 131,072 times; window 2^17, no checksum.
  const block = (isLast: number) => [isLast | (1 << 1), 0, (1 << 17) >> 13, 0];
  const blocks = Buffer.concat([...Array(8191).fill(Buffer.from(block(0))), Buffer.from(block(1))]);
  const zstd = Buffer.concat([Buffer.from([0x28, 0xb5, 0x2f, 0xfd, 0, 7 << 3]), blocks]);
  return [
    { compression: 'gzip', bytes: gzip },
    { compression: 'zstd', bytes: zstd },
  ];
}

test('a GiB of zeros comes in small pieces, in bounded memory', async () => {
  for (const { compression, bytes } of bombs()) {
    const before = process.memoryUsage.rss();
    let given = 0;
    let most = 0;
    for await (const piece of decompress(cut(bytes), compression)) {
      assert.ok(piece.length <= 1 << 18);
      if (given >> 24 !== (given + piece.length) >> 24) most = Math.max(most, process.memoryUsage.rss() - before);
      given += piece.length;
    }
    assert.equal(given, 2 ** 30);
    assert.ok(most < 200e6, `${compression}: ${most} bytes more than before`);
  }
});

test('files: progress in compressed bytes, and no file stays open', async () => {
  const file = path.join(folder, 'text.gz');
  const bytes = Buffer.concat(Array(3000).fill(gzipSync(text)));
  writeFileSync(file, bytes);
  const openFiles = () => (existsSync('/proc/self/fd') ? readdirSync('/proc/self/fd').length : 0);
  const before = openFiles();
  const told: number[] = [];
  const { text: given } = await collect(decompress(file, 'gzip', (read) => told.push(read)));
  assert.equal(given.length, 3000 * text.length);
  assert.ok(told.length > 1 && told.every((read, i) => i === 0 || read > told[i - 1]));
  assert.equal(told.at(-1), bytes.length);
  for await (const _ of decompress(file, 'gzip')) break;
  await new Promise((resolve) => setTimeout(resolve, 20));
  assert.equal(openFiles(), before);
  await assert.rejects(collect.bind(null, decompress(path.join(folder, 'absent.gz'), 'gzip')), /ENOENT/);
});

test('decompressInto writes what was compressed, and before damage what was good', async () => {
  const file = path.join(folder, 'table.zst');
  const target = path.join(folder, 'table');
  writeFileSync(file, Buffer.concat([checkedFrame, uncheckedFrame]));
  await decompressInto(file, 'zstd', target);
  assert.ok(readFileSync(target).equals(Buffer.concat([text, text])));
  writeFileSync(file, Buffer.concat([checkedFrame, short]));
  await assert.rejects(decompressInto(file, 'zstd', target), Damage);
  assert.ok(readFileSync(target).equals(text));
});

const pyarrow = needPython('pyarrow');
test('text of some MB that pyarrow compressed', { skip: pyarrow.skip }, async () => {
  const words = randomInts(500_000, 9, 3000);
  const long = Buffer.from(Array.from(words, (word, i) => (i % 9 === 0 ? '\n' : word.toString(36))).join(' '));
  const source = path.join(folder, 'long.txt');
  writeFileSync(source, long);
  const script = `
import sys, pyarrow as pa
data = open(sys.argv[1], 'rb').read()
for codec in ('gzip', 'zstd'):
    with open(f'{sys.argv[1]}.{codec}', 'wb') as out:
        for part in (data[:1000], data[1000:]):
            sink = pa.BufferOutputStream()
            with pa.CompressedOutputStream(sink, codec) as stream:
                stream.write(part)
            out.write(sink.getvalue())
`;
  const { status, stderr } = spawnSync(pyarrow.python, ['-c', script, source], { encoding: 'utf8' });
  assert.equal(status, 0, stderr);
  for (const compression of ['gzip', 'zstd'] as const) {
    const { text: given, damage } = await collect(decompress(`${source}.${compression}`, compression));
    assert.ok(damage === undefined && given.equals(long), `${compression}: ${damage}`);
  }
});

function base64(digits: string): Buffer {
  return Buffer.from(digits.replaceAll(/\s/g, ''), 'base64');
}

/** A member with every optional field of the header: extra, name, comment, CRC of the header. */
function withFields(member: Buffer): Buffer {
  const header = Buffer.from([...member.subarray(0, 3), 2 | 4 | 8 | 16, ...member.subarray(4, 10)]);
  const fields = Buffer.concat([header, Buffer.from([3, 0, 1, 0, 0]), Buffer.from('name.txt\0a comment\0')]);
  const crc = Buffer.alloc(2);
  crc.writeUInt16LE(crc32(fields) & 0xffff);
  return Buffer.concat([fields, crc, member.subarray(10)]);
}
