/** What `galvani bench tokenize` times is the work that it claims: all ids of the text, on any number of threads. */
import assert from 'node:assert/strict';
import { mkdtempSync, rmSync, writeFileSync } from 'node:fs';
import os from 'node:os';
import path from 'node:path';
import test, { after } from 'node:test';
import { benchmarkTokenize } from '../../src/text/benchmark.js';
import { TextPasses } from '../../src/text/passes.js';
import { resolveSettings } from '../../src/text/profile.js';
import { Vocabulary } from '../../src/text/vocabulary.js';

const folder = mkdtempSync(path.join(os.tmpdir(), 'galvani-test-'));
after(() => rmSync(folder, { recursive: true }));

const vocab = path.join(folder, 'vocab.txt');
writeFileSync(vocab, '[PAD]\n[UNK]\n[CLS]\n[SEP]\n[MASK]\none\ntwo\n##s\n.\n');
const input = path.join(folder, 'text.txt');

/** Lines of known ids, enough of them for many ranges; the last has no end. */
const lines = Array.from({ length: 100_000 }, (_, i) => (i % 3 === 0 ? 'One twos.' : i % 3 === 1 ? '' : 'two né'));
writeFileSync(input, lines.join('\n'));
const expected = lines.flatMap((_, i) => (i % 3 === 0 ? [5, 6, 7, 8] : i % 3 === 1 ? [] : [6, 1]));

test('a pass leaves every id of the text, in order, for any number of threads and passes', async () => {
  for (const threads of [1, 2, 3]) {
    const passes = await TextPasses.open(Vocabulary.read(vocab), resolveSettings(), input, threads);
    try {
      for (const times of [1, 3]) {
        assert.equal(await passes.pass(times), expected.length);
        assert.deepEqual([...passes.ids()], expected);
      }
    } finally {
      await passes.close();
    }
  }
});

test('figures tell of the whole text, and of one thread and all', async () => {
  const settings = resolveSettings();
  const figures = await benchmarkTokenize({ input, vocab, settings, threads: 2, rounds: 1, passes: 1 });
  assert.equal(figures.bytes, Buffer.byteLength(lines.join('\n')));
  assert.equal(figures.tokens, expected.length);
  assert.deepEqual([figures.oneThread.threads, figures.allThreads.threads], [1, 2]);
  assert.ok(figures.oneThread.coldMegabytesPerSecond > 0 && figures.allThreads.tokensPerSecond > 0);
});

test('a text or a vocabulary that is not there is an error of the command, not of a process behind it', async () => {
  const settings = resolveSettings();
  const ask = (paths: object) => benchmarkTokenize({ input, vocab, settings, threads: 1, ...paths });
  await assert.rejects(ask({ input: 'absent.txt' }), /^GalvaniError: bench: expected a readable text file, got ENOENT/);
  await assert.rejects(ask({ vocab: 'absent.txt' }), /^GalvaniError: vocabulary: expected a readable vocab\.txt, got/);
});
