/** Other programs' readers open our shards: pyarrow and Polars, with the numbers compared and not only the shapes. */
import assert from 'node:assert/strict';
import { execFileSync } from 'node:child_process';
import { mkdtempSync, rmSync } from 'node:fs';
import os from 'node:os';
import path from 'node:path';
import { after, test } from 'node:test';
import { needPython } from '../python.js';
import { type Documents, writeSyntheticDataset } from './synthetic.js';

const folder = mkdtempSync(path.join(os.tmpdir(), 'galvani-python-'));
after(() => rmSync(folder, { recursive: true }));

const readers = {
  pyarrow: `
import pyarrow as pa
def read(file):
    reader = pa.ipc.open_file(pa.memory_map(file))
    assert reader.num_record_batches > 1, reader.num_record_batches
    table = reader.read_all()
    table.validate(full=True)
    return table.schema.to_string(), table.to_pylist()`,
  polars: `
import polars as pl
def read(file):
    frame = pl.read_ipc(file)
    return str(frame.schema), frame.to_dicts()`,
};

const main = `
import glob, json, os, sys
rows, schemas = [], set()
files = sorted(glob.glob(os.path.join(sys.argv[1], 'shard-*.arrow')))
for file in files:
    schema, part = read(file)
    schemas.add(schema)
    rows += part
counts = [row['count'] for row in read_counts(os.path.join(sys.argv[1], 'token-counts.arrow'))]
print(json.dumps({'files': len(files), 'schemas': list(schemas), 'rows': rows, 'counts': counts}))`;

const countReaders = {
  pyarrow: 'read_counts = lambda file: pa.ipc.open_file(file).read_all().to_pylist()',
  polars: 'read_counts = lambda file: pl.read_ipc(file).to_dicts()',
};

for (const reader of ['pyarrow', 'polars'] as const) {
  const { python, skip } = needPython(reader);
  for (const vocabularySize of [100, 70_000]) {
    test(`${reader} reads every id and line end (${vocabularySize} pieces)`, { skip }, async () => {
      const documents: Documents = Array.from({ length: 23 }, (_, i) =>
        Array.from({ length: 1 + (i % 3) }, (_, j) =>
          Array.from({ length: 1 + ((i * j) % 5) }, (_, k) => (7919 * (i + 1) * (j + 2) * (k + 3)) % vocabularySize),
        ),
      );
      const directory = path.join(folder, `${reader}${vocabularySize}`);
      await writeSyntheticDataset(directory, documents, { vocabularySize, shardTokens: 50, batchTokens: 9 });
      const script = [readers[reader], countReaders[reader], main].join('\n');
      const found = JSON.parse(execFileSync(python, ['-c', script, directory], { encoding: 'utf8' }));
      assert.ok(found.files > 1);
      assert.equal(found.schemas.length, 1);
      assert.match(found.schemas[0], new RegExp(`input_ids.*list.*uint${vocabularySize > 65536 ? 32 : 16}`, 'is'));
      let end = 0;
      const expected = documents.map((lines) => {
        end = 0;
        const line_ends = lines.map((line) => {
          end += line.length;
          return end;
        });
        return { input_ids: lines.flat(), line_ends };
      });
      assert.deepEqual(found.rows, expected);
      const counts = new Array(vocabularySize).fill(0);
      for (const id of documents.flat(2)) counts[id]++;
      assert.deepEqual(found.counts, counts);
    });
  }
}
