/** Vocabulary learning: its rule against a plain restatement, its size, its determinism, its errors. */
import assert from 'node:assert/strict';
import { mkdtempSync, rmSync, writeFileSync } from 'node:fs';
import os from 'node:os';
import path from 'node:path';
import { after, test } from 'node:test';
import { listInputs } from '../../src/corpus/inputs.js';
import { trainVocabulary, type VocabularySettings } from '../../src/corpus/vocabulary.js';
import { GalvaniError } from '../../src/errors.js';
import { drawWord, keyOfSeed, uniformOfWord } from '../../src/random/philox.js';
import { algorithms, learnVocabulary } from '../../src/text/learner.js';
import { type CountedWords, WordTable } from '../../src/text/word-table.js';
import { makeEncoder } from './oracles.js';
import { randomText } from './random-text.js';

const folder = mkdtempSync(path.join(os.tmpdir(), 'galvani-learner-'));
after(() => rmSync(folder, { recursive: true }));

const uncased = { profile: 'huggingface', lowercase: true, stripAccents: true } as const;
const english =
  'the low lower lowest of the new newer newest were wide wider and the widest , said walking talking walked';
const heads = ['[PAD]', '[UNK]', '[CLS]', '[SEP]', '[MASK]'];

function countWords(text: string): CountedWords {
  const table = new WordTable();
  for (const lines of makeEncoder(uncased).normalizedWords(Buffer.from(text))) table.addLines(lines);
  return table.words();
}

function toPairs({ bytes, ends, counts }: CountedWords): [string, number][] {
  return [...ends].map((end, i) => [Buffer.from(bytes.subarray(ends[i - 1] ?? 0, end - 1)).toString(), counts[i]]);
}

function learnFrom(files: string[], settings: Partial<VocabularySettings> & { size: number }) {
  return trainVocabulary(listInputs(files, []), { threads: 2, ...settings });
}

/** Eight words a line, of one to four syllables, the earlier ones of 10,000 far more often than the later. */
function inventText(lines: number): string[] {
  const syllables = ['ka', 'lo', 'mi', 'st', 'ren', 'u', 'the', 'ing', 'o', 'pré'];
  const key = keyOfSeed(4);
  const word = (index: number) => {
    const rank = Math.floor(10_000 * uniformOfWord(drawWord(key, 0x7e57, 0, index)) ** 3);
    return [...String(rank)].map((digit) => syllables[Number(digit)]).join('');
  };
  return Array.from({ length: lines }, (_, n) => Array.from({ length: 8 }, (_, k) => word(8 * n + k)).join(' '));
}

/** The rule of one threshold, told with dictionaries of strings, as the source has it. */
function learnPlainly(words: [string, number][], threshold: number): Map<string, number> {
  const letters = new Set(words.flatMap(([word]) => [...word].flatMap((c) => (word.length > 1 ? [c, `##${c}`] : [c]))));
  let pieces = new Map<string, number>();
  for (let round = 0; round < 4; round++) {
    const counts = new Map<string, number>();
    for (const [word, count] of words) {
      for (let start = 0; start < word.length; ) {
        let longest = 1;
        for (let end = start + 1; end <= word.length; end++) {
          const part = (start > 0 ? '##' : '') + word.slice(start, end);
          counts.set(part, (counts.get(part) ?? 0) + count);
          if (pieces.has(part)) longest = end - start;
        }
        start += round === 0 ? 1 : longest;
      }
    }
    pieces = new Map();
    const bare = (part: string) => part.replace(/^##(?=.)/, '');
    for (const part of [...counts.keys()].sort((a, b) => bare(b).length - bare(a).length)) {
      const count = counts.get(part) as number;
      if (count < threshold) continue;
      pieces.set(part, count);
      const lead = part.length - bare(part).length;
      for (let end = lead + 1; end < part.length; end++) {
        const prefix = part.slice(0, end);
        counts.set(prefix, (counts.get(prefix) as number) - count);
      }
    }
    for (const letter of letters) if (!pieces.has(letter)) pieces.set(letter, 1);
  }
  return pieces;
}

test('a threshold gives the pieces of the plain rule', () => {
  const words = countWords(`${english} ${inventText(60).join(' ').replaceAll('é', 'e')}`);
  const plain = toPairs(words);
  for (const size of [90, 120, 200]) {
    const { pieces, leastCount: threshold } = learnVocabulary(words, { size });
    const rule = learnPlainly(plain, threshold);
    assert.ok(rule.size + heads.length >= size, `threshold ${threshold}`);
    for (const piece of pieces.slice(heads.length)) assert.ok(rule.has(piece), `${piece} at threshold ${threshold}`);
    const next = learnPlainly(plain, threshold + 1);
    assert.ok(next.size + heads.length < size, `threshold ${threshold} is the largest that gives ${size}`);
    const dropped = [...rule.keys()].filter((piece) => !pieces.includes(piece));
    const rarestKept = Math.min(
      ...pieces.filter((p) => rule.has(p) && p.replace('##', '').length > 1).map((p) => rule.get(p) as number),
    );
    for (const piece of dropped) assert.ok((rule.get(piece) as number) <= rarestKept, `${piece} was dropped`);
  }
});

test('the size is met exactly, [PAD] is 0, pieces are distinct, every word of the alphabet has pieces', async () => {
  const text = inventText(400).join('\n');
  const file = path.join(folder, 'sizes.txt');
  writeFileSync(file, text);
  for (const algorithm of algorithms) {
    for (const size of [60, 61, 100, 333]) {
      const { vocabulary, report } = await learnFrom([file], { size, algorithm });
      assert.equal(vocabulary.size, size);
      assert.equal(report.pieces, size);
      assert.deepEqual(vocabulary.pieces.slice(0, 5), heads);
      assert.equal(new Set(vocabulary.pieces).size, size);
      assert.equal(report.unknownFraction, 0);
      assert.equal(report.words, 3200);
      assert.ok(Math.abs(report.piecesPerWord * report.words - report.tokens) < 1e-6);
    }
  }
});

test('the same content in any order, files, cuts and number of threads gives the same vocabulary', async () => {
  const lines = [...inventText(500), ...Array.from({ length: 300 }, (_, n) => randomText(3, n).replaceAll('\n', ' '))];
  const shuffled = lines.map((line, i) => ({ line, key: (i * 7919) % 1009 })).sort((a, b) => a.key - b.key);
  const sorted = shuffled.map(({ line }) => line);
  const write = (name: string, part: string[], end: string) => {
    const file = path.join(folder, name);
    writeFileSync(file, part.join('\n') + end);
    return file;
  };
  const whole = write('whole.txt', lines, '');
  const parts = [write('part-1.txt', sorted.slice(0, 333), ''), write('part-2.txt', sorted.slice(333), '\n')];
  for (const algorithm of algorithms) {
    const settings = { size: 2400, algorithm };
    const one = await learnFrom([whole], { ...settings, threads: 1 });
    for (const [threads, rangeBytes] of [
      [1, 1000],
      [2, 777],
      [3, 100],
    ]) {
      const two = await learnFrom(parts, { ...settings, threads, rangeBytes });
      assert.equal(two.vocabulary.sha256, one.vocabulary.sha256);
      assert.deepEqual(two.report, one.report);
    }
  }
});

test('words are counted as a dictionary counts them, through growth, clearing and merging', () => {
  const lines = Array.from(
    { length: 30_000 },
    (_, n) => `${'x'.repeat(n % 97)} überall ${n % 3 === 0 ? 'w' : `v${n}`}`,
  );
  const text = lines.join('\n');
  const expected = new Map<string, number>();
  for (const word of text.replaceAll('ü', 'u').split(/\s+/)) {
    if (word !== '') expected.set(word, (expected.get(word) ?? 0) + 1);
  }
  assert.deepEqual(new Map(toPairs(countWords(text))), expected);

  const [part, sum] = [new WordTable(), new WordTable()];
  for (let start = 0; start < lines.length; start += 7000) {
    part.clear();
    const piece = Buffer.from(lines.slice(start, start + 7000).join('\n'));
    for (const words of makeEncoder(uncased).normalizedWords(piece)) part.addLines(words);
    sum.addCounts(part.words());
  }
  assert.deepEqual(new Map(toPairs(sum.words())), expected);
});

test('a size too small for the alphabet or too large for the text is refused with the bound', () => {
  const words = countWords(english);
  const error = (size: number) => {
    try {
      learnVocabulary(words, { size });
    } catch (thrown) {
      return thrown as GalvaniError;
    }
    return undefined;
  };
  const small = error(10) as GalvaniError;
  assert.match(
    small.message,
    /^vocab: expected a size of at least (\d+) pieces .*, got 10 \(--size\)\. Raise --size\.$/,
  );
  assert.equal(small.kind, 'wrongUse');
  const least = Number(/at least (\d+)/.exec(small.message)?.[1]);
  assert.equal(learnVocabulary(words, { size: least }).pieces.length, least);
  assert.ok(error(least - 1) instanceof GalvaniError);
  const large = error(100_000) as GalvaniError;
  assert.equal(large.kind, 'badInput');
  const most = Number(/at most (\d+)/.exec(large.message)?.[1]);
  assert.equal(learnVocabulary(words, { size: most }).pieces.length, most);
  assert.ok(error(most + 1) instanceof GalvaniError);
});
