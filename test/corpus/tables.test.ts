/**
 * Rows of Parquet and Arrow files: those that pyarrow and Polars wrote (tables.py), and each once, wherever the file is cut into
 * ranges. What is damaged is one form of error, whatever the bytes.
 */
import assert from 'node:assert/strict';
import { spawnSync } from 'node:child_process';
import { mkdtempSync, readFileSync, rmSync, writeFileSync } from 'node:fs';
import os from 'node:os';
import path from 'node:path';
import { after, test } from 'node:test';
import { Field, makeData, RecordBatch, Schema, Struct, Table, tableToIPC, Utf8 } from 'apache-arrow';
import { readRows, type TableRange } from '../../src/corpus/readers/tables.js';
import { type Complaint, GalvaniError } from '../../src/errors.js';
import { needPython } from '../python.js';
import { randomInts } from '../random.js';

const folder = mkdtempSync(path.join(os.tmpdir(), 'galvani-tables-'));
after(() => rmSync(folder, { recursive: true }));

type Format = TableRange['format'];
type Row = string | null;

interface Reading {
  rows: Row[];
  /** Thrown after these rows. */
  error?: GalvaniError;
}

const mostBytes = 4 << 20;

/** The rows of ranges that begin at these bytes, null where one was refused. */
async function read(file: string, format: Format, column: string, begins: number[] = [0]): Promise<Reading> {
  const { length } = readFileSync(file);
  const rows: Row[] = [];
  for (const [i, offset] of begins.entries()) {
    const range = { path: file, format, offset, length: (begins[i + 1] ?? length) - offset };
    const refused: number[] = [];
    const own: Row[] = [];
    try {
      for await (const texts of readRows(range, column, (at, complaint) =>
        refused.push(rowOf(at, complaint, column)),
      )) {
        own.push(...records(texts.bytes, texts.recordLines ?? assert.fail()));
      }
    } catch (error) {
      assert.ok(error instanceof GalvaniError, String(error));
      assert.equal(error.kind, 'badInput');
      assert.ok(error.message.includes(file), error.message);
      return { rows: [...rows, ...withRefused(own, refused, rows.length)], error };
    }
    rows.push(...withRefused(own, refused, rows.length));
  }
  return { rows };
}

function rowOf(at: string, complaint: Complaint, column: string): number {
  assert.deepEqual(complaint, { expected: `a string in "${column}"`, got: 'null' });
  assert.match(at, /^row \d+$/);
  return Number(at.slice(4));
}

/** Refused rows between the others, by their numbers in the file. */
function withRefused(rows: Row[], refused: number[], first: number): Row[] {
  const all = [...rows];
  for (const row of refused) all.splice(row - first, 0, null);
  return all;
}

function records(bytes: Uint8Array, recordLines: Uint32Array): string[] {
  const text = Buffer.from(bytes).toString('utf8');
  assert.ok(bytes.length <= mostBytes || recordLines.length === 1, `${bytes.length} bytes`);
  let at = 0;
  const found = Array.from(recordLines, (lines) => {
    let end = at;
    for (let line = 0; line < lines; line++) end = text.indexOf('\n', end) + 1;
    const record = text.slice(at, end - 1);
    at = end;
    return record;
  });
  assert.equal(at, text.length, 'text behind the last record');
  return found;
}

/** Lengths of some bytes up to a third of the file, as ranges' begins. */
function cuts(fileBytes: number, seed: number): number[] {
  const begins = [0];
  for (const length of randomInts(300, seed, Math.ceil(fileBytes / 3))) {
    const next = begins[begins.length - 1] + 1 + length;
    if (next < fileBytes) begins.push(next);
  }
  return begins;
}

/** Five rows in groups of three and two, written by pyarrow 26 with Snappy and dictionaries. */
const smallParquet = Buffer.from(
  'UEFSMRUEFTAVLkwVBhUAEgAAGAQBAAkBPAIAAAAAAAAAAwAAAAAAAAAVABUUFRgsFQYVEBUGFQYcAAAACiQCAAAABgECAyQAFQQVKBUsTBUEFQASAAAUTAMAAABvbmUJAAAAdHdvCmxpbmVzFQAVEhUWLBUGFRAVBhUGHAAAAAkgAgAAAAMDAQMCFQQVIBUkTBUEFQASAAAQPAQAAAAAAAAABQAAAAAAAAAVABUSFRYsFQQVEBUGFQYcAAAACSACAAAABAEBAwIVBBUcFSBMFQQVABIAAA40AAAAAAYAAADkuK3mlocVABUSFRYsFQQVEBUGFQYcAAAACSACAAAABAEBAwIVBBk8NQAYBnNjaGVtYRUEABUEJQIYAW4AFQwlAhgEdGV4dCUATBwAAAAWChksGSwmABwVBBk1AAYQGRgBbhUCFgYWhgEWiAEmUiYIKSwVBBUAFQIAFQAVEBUCADwpBhkmAAYAAAAmABwVDBk1AAYQGRgEdGV4dBUCFgYWfBaEASbYASaQASksFQQVABUCABUAFRAVAgA8FhgZBhkmAgQAAAAWggIWBiYIFowCABksJgAcFQQZNQAGEBkYAW4VAhYEFnQWfCbUAiaUAiksFQQVABUCABUAFRAVAgA8KQYZJgAEAAAAJgAcFQwZNQAGEBkYBHRleHQVAhYEFnAWeCbMAyaQAyksFQQVABUCABUAFRAVAgA8FgwZBhkmAAQAAAAW5AEWBCaUAhb0AQAoIHBhcnF1ZXQtY3BwLWFycm93IHZlcnNpb24gMjYuMC4xGSwcAAAcAAAAVwEAAFBBUjE=',
  'base64',
);
const smallRows = ['one', 'two\nlines', null, '', '中文'];

/** Two batches of views into longer buffers: their offsets do not begin at 0. */
function slicedArrow(form: 'file' | 'stream'): { bytes: Uint8Array; rows: Row[] } {
  const data = Buffer.from('unused|one|two\nlines||中文|rest');
  const valueOffsets = Int32Array.of(0, 7, 10, 11, 20, 21, 21, 22, 28, 33);
  const texts = makeData({
    type: new Utf8(),
    length: 9,
    nullCount: 1,
    nullBitmap: Uint8Array.of(0b10111111, 1),
    data,
    valueOffsets,
  });
  const schema = new Schema([new Field('text', new Utf8(), true)]);
  const batch = (begin: number, length: number) => {
    const children = [texts.slice(begin, length)];
    return new RecordBatch(schema, makeData({ type: new Struct(schema.fields), length, children }));
  };
  const bytes = tableToIPC(new Table(schema, [batch(1, 4), batch(5, 3)]), form);
  return { bytes, rows: ['one', '|', 'two\nlines', '|', '', null, '中文'] };
}

const core: { name: string; format: Format; bytes: Uint8Array; rows: Row[]; groups: number[] }[] = [
  { name: 'small.parquet', format: 'parquet', bytes: smallParquet, rows: smallRows, groups: [0] },
  { name: 'file.arrow', format: 'arrow', ...slicedArrow('file'), groups: [0] },
  { name: 'stream.arrow', format: 'arrow', ...slicedArrow('stream'), groups: [0, 4, 7] },
];

for (const { name, format, bytes, rows, groups } of core) {
  const file = path.join(folder, name);
  writeFileSync(file, bytes);

  test(`${name}: all rows, wherever the file is cut in two`, async () => {
    assert.deepEqual(await read(file, format, 'text'), { rows });
    for (let at = 1; at < bytes.length; at++)
      assert.deepEqual(await read(file, format, 'text', [0, at]), { rows }, `at ${at}`);
  });

  test(`${name}: cut short at any byte, it is an error after whole groups of rows`, async () => {
    const cut = path.join(folder, `cut-${name}`);
    const withoutError: number[] = [];
    for (let length = 0; length < bytes.length; length++) {
      writeFileSync(cut, bytes.subarray(0, length));
      const reading = await read(cut, format, 'text');
      assert.ok(groups.includes(reading.rows.length), `${length} bytes: ${reading.rows.length} rows`);
      assert.deepEqual(reading.rows, rows.slice(0, reading.rows.length));
      if (reading.error === undefined) withoutError.push(reading.rows.length);
    }
    // A stream may end without its mark, after the schema or a batch.
    assert.deepEqual(withoutError, name === 'stream.arrow' ? groups : []);
  });

  test(`${name}: whatever the bytes, rows or an error`, async () => {
    const changed = path.join(folder, `changed-${name}`);
    const places = randomInts(1500, 5, bytes.length);
    const values = randomInts(1500, 6, 256);
    for (let i = 0; i < places.length; i++) {
      const other = Uint8Array.from(bytes);
      other[places[i]] ^= values[i];
      writeFileSync(changed, other);
      await read(changed, format, 'text');
    }
  });

  test(`${name}: another column`, async () => {
    const { error } = await read(file, format, 'body');
    const columns = format === 'parquet' ? '"n", "text"' : '"text"';
    assert.equal(
      error?.message,
      `corpus: expected a column "body", got columns ${columns} (${file}). Name a column of strings by --text-field.`,
    );
  });
}

test('what is wrong with all of a file is told by the range of its first byte', async () => {
  const file = path.join(folder, 'other.parquet');
  for (const [format, content] of [
    ['parquet', 'text and no table at all'],
    ['arrow', 'text and no table at all'],
    ['parquet', ''],
  ] as const) {
    writeFileSync(file, content);
    const refuse = () => assert.fail();
    const range = { path: file, format, offset: 0, length: content.length };
    await assert.rejects(async () => {
      for await (const _ of readRows(range, 'text', refuse)) assert.fail();
    }, GalvaniError);
    for await (const _ of readRows({ ...range, offset: 7, length: 9 }, 'text', refuse)) assert.fail();
  }
  const directory = { path: folder, format: 'parquet', offset: 0, length: 100 } as const;
  await assert.rejects(async () => {
    for await (const _ of readRows(directory, 'text', () => assert.fail())) assert.fail();
  }, /expected a file that can be read, got EISDIR/);
});

test('bytes behind the end of a stream are an error', async () => {
  const file = path.join(folder, 'longer.arrow');
  const { bytes, rows } = slicedArrow('stream');
  writeFileSync(file, Buffer.concat([bytes, bytes]));
  const reading = await read(file, 'arrow', 'text');
  assert.deepEqual(reading.rows, rows);
  assert.match(reading.error?.message ?? '', new RegExp(`got ${bytes.length} bytes more .*byte ${bytes.length}\\)`));
});

test('what the caller throws comes out as it is', async () => {
  const own = new Error('of the caller');
  const range = {
    path: path.join(folder, 'small.parquet'),
    format: 'parquet',
    offset: 0,
    length: smallParquet.length,
  } as const;
  const refuse = () => {
    throw own;
  };
  await assert.rejects(
    async () => {
      for await (const _ of readRows(range, 'text', refuse));
    },
    (error) => error === own,
  );
});

const { python, skip } = needPython('pyarrow', 'polars');

test('tables of other writers', { skip }, async (context) => {
  const made = spawnSync(python, ['test/corpus/tables.py', folder], { encoding: 'utf8' });
  assert.equal(made.status, 0, made.stderr);
  type Table = { file: string; format: Format; column: string; rows: Row[] };
  const tables = JSON.parse(readFileSync(path.join(folder, 'tables.json'), 'utf8')) as Table[];
  const places = new Map(tables.map((table) => [table.file, { ...table, path: path.join(folder, table.file) }]));
  for (const [name, table] of places) {
    await context.test(name, async () => {
      const { length } = readFileSync(table.path);
      for (const begins of [[0], cuts(length, 11), cuts(length, 12)]) {
        const reading = await read(table.path, table.format, table.column, begins);
        assert.equal(reading.error, undefined);
        assert.ok(sameRows(reading.rows, table.rows), `cut at ${begins}`);
      }
    });
  }
  for (const name of ['small.parquet', 'small-file.arrow', 'small-stream.arrow']) {
    const table = places.get(name) ?? assert.fail();
    await context.test(`${name}, cut in two anywhere`, async () => {
      const { length } = readFileSync(table.path);
      for (let at = 1; at < length; at++) {
        assert.ok(sameRows((await read(table.path, table.format, 'text', [0, at])).rows, table.rows), `at ${at}`);
      }
    });
  }
  await context.test('a page that does not agree with its checksum', async () => {
    const table = places.get('checksums.parquet') ?? assert.fail();
    const bytes = readFileSync(table.path);
    bytes[bytes.indexOf('word')] ^= 1;
    writeFileSync(table.path, bytes);
    const { error } = await read(table.path, 'parquet', 'text');
    assert.match(error?.message ?? '', /expected a page that agrees with its CRC-32, got another/);
  });
  for (const name of [
    'snappy-dictionary-1.0.parquet',
    'zstd-plain-2.0.parquet',
    'view-stream-lz4.arrow',
    'dictionary-file-zstd.arrow',
  ]) {
    await context.test(`${name}: whatever the bytes, rows or an error`, async () => {
      const table = places.get(name) ?? assert.fail();
      const bytes = readFileSync(table.path);
      const changed = path.join(folder, 'changed');
      for (const [i, place] of randomInts(300, 21, bytes.length).entries()) {
        const other = Uint8Array.from(bytes);
        other[place] ^= 1 << (i % 8);
        writeFileSync(changed, other);
        await read(changed, table.format, 'text');
      }
    });
  }
  await context.test('columns that hold no strings are named with their types', async () => {
    const wrong: [string, string, string][] = [
      ['small.parquet', 'id', 'INT64'],
      ['nested-1.0.parquet', 'meta.inner', 'STRUCT'],
      ['string-file-None.arrow', 'lists', 'list'],
      ['string-file-None.arrow', 'bytes', 'binary_view'],
      ['places-int8.arrow', 'none', ''],
    ];
    for (const [name, column, type] of wrong) {
      const table = places.get(name) ?? assert.fail();
      const { error } = await read(table.path, table.format, column);
      const got = type === '' ? 'got columns "text"' : `expected strings in "${column}", got a column of type ${type}`;
      assert.ok(error?.message.includes(got), error?.message);
    }
  });
});

function sameRows(found: Row[], expected: Row[]): boolean {
  return found.length === expected.length && found.every((row, i) => row === expected[i]);
}
