/**
 * Runs the tests: all of them, or the rooms named (`npm test -- text batching`).
 * A test file is test/<room>/<name>.test.ts. Prints each failure, the seconds of every room, and last the line
 * `N passed, N failed` (`, N skipped`).
 */
import { readdirSync } from 'node:fs';
import path from 'node:path';
import { run } from 'node:test';
import { spec } from 'node:test/reporters';
import { fileURLToPath } from 'node:url';

const here = path.dirname(fileURLToPath(import.meta.url));
const wanted = process.argv.slice(2);

const files = readdirSync(here, { recursive: true, encoding: 'utf8' })
  .filter((file) => file.endsWith('.test.js'))
  .filter((file) => wanted.length === 0 || wanted.some((name) => file.startsWith(name)))
  .sort()
  .map((file) => path.join(here, file));
if (files.length === 0) {
  console.error(`test: expected a room with tests, got ${wanted.join(' ') || 'none'}. Rooms are the folders of test/.`);
  process.exit(2);
}

const counts = { passed: 0, failed: 0, skipped: 0 };
const roomMs = new Map<string, number>();
// One file at a time: many tests start thread teams of their own, and the machine has few cores.
const stream = run({ files, concurrency: 1, timeout: 20 * 60_000 });
stream.on('test:pass', (event) =>
  count(event, event.skip !== undefined && event.skip !== false ? 'skipped' : 'passed'),
);
stream.on('test:fail', (event) => count(event, 'failed'));

function count(
  event: { name: string; nesting: number; file?: string; details: { duration_ms: number; type?: string } },
  outcome: keyof typeof counts,
): void {
  const room = event.file ? path.relative(here, event.file).split(path.sep)[0] : 'other';
  if (event.nesting === 0) roomMs.set(room, (roomMs.get(room) ?? 0) + event.details.duration_ms);
  // A suite is its tests; one that is skipped as a whole has none.
  if (event.details.type === 'suite' && outcome !== 'skipped') return;
  // A file that dies before its first test is reported as a failed test of the file's own name; one that passes is none.
  const isFileItself = event.nesting === 0 && event.name.endsWith('.test.js');
  if (!isFileItself || outcome === 'failed') counts[outcome]++;
}

stream.compose(new spec()).pipe(process.stdout);
stream.on('end', () => {
  setImmediate(() => {
    console.log('');
    for (const [room, ms] of roomMs) console.log(`${room.padEnd(12)} ${(ms / 1000).toFixed(1).padStart(7)} s`);
    const skipped = counts.skipped === 0 ? '' : `, ${counts.skipped} skipped`;
    console.log(`${counts.passed} passed, ${counts.failed} failed${skipped}`);
    process.exitCode = counts.failed === 0 && counts.passed > 0 ? 0 : 1;
  });
});
