/** What people see: numbers, tables, and a progress line that behaves on a terminal and in a log. */
import assert from 'node:assert/strict';
import { test } from 'node:test';
import { openProgress } from '../../src/report/progress.js';
import { formatBytes, formatCount, formatSeconds, formatTable } from '../../src/report/table.js';

test('numbers are printed with the unit that fits', () => {
  assert.deepEqual([0, 999, 1000, 999_949, 999_950, 1.5e12].map(formatBytes), [
    '0 B',
    '999 B',
    '1.0 kB',
    '999.9 kB',
    '1.0 MB',
    '1.5 TB',
  ]);
  assert.deepEqual([2.34, 59.9, 62, 3599.6, 3723].map(formatSeconds), [
    '2.3 s',
    '59.9 s',
    '1 min 02 s',
    '1 h 00 min',
    '1 h 02 min',
  ]);
  assert.equal(formatCount(1234567), '1,234,567');
});

test('a table sets words left and numbers right', () => {
  const rows = [
    ['name', 'tokens'],
    ['a', '1,200'],
    ['longer', '7'],
  ];
  assert.equal(formatTable(rows), 'name    tokens\na        1,200\nlonger       7\n');
});

/** A stream that keeps what is written. */
function fakeStream(isTTY: boolean): { stream: NodeJS.WriteStream; written: string[] } {
  const written: string[] = [];
  const stream = { isTTY, columns: 20, write: (text: string) => written.push(text) };
  return { stream: stream as unknown as NodeJS.WriteStream, written };
}

test('on a terminal one line is redrawn, cut to its width, and cleared at the end', () => {
  process.env.TERM = 'xterm';
  const { stream, written } = fakeStream(true);
  const progress = openProgress(stream);
  progress.show(() => 'prepare: 1 MB of 20 MB');
  progress.show(() => assert.fail('shown again at once'));
  progress.end();
  progress.end();
  assert.deepEqual(written, ['\rprepare: 1 MB of 2…\x1b[K', '\r\x1b[K']);
});

test('elsewhere work of a few seconds prints no line', () => {
  const { stream, written } = fakeStream(false);
  const progress = openProgress(stream);
  progress.show(() => assert.fail('shown at once'));
  progress.end();
  assert.deepEqual(written, []);
});
