/** Every bench runs, at a small size; what it measures is nobody's concern here. */
import assert from 'node:assert/strict';
import { spawnSync } from 'node:child_process';
import test from 'node:test';
import { fileURLToPath } from 'node:url';

test('npm run bench runs every bench, and what is compared is proved equal first', () => {
  const script = fileURLToPath(new URL('../../bench/smoke.js', import.meta.url));
  const { status, stdout, stderr } = spawnSync(process.execPath, [script], { encoding: 'utf8' });
  assert.equal(status, 0, stderr);
  assert.match(stdout, /^oneThread\.coldMegabytesPerSecond +[\d.]+$/m);
  assert.match(stdout, /^text\.txt +tokenizers 0\.23\.2 /m);
  assert.match(stdout, /^galvani prepare +1 /m);
  assert.match(stdout, /^galvani +1 +1 +[\d.]+ /m);
  assert.match(stdout, /^full shuffle +[\d.]+ /m);
});
