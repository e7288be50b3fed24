/**
 * Learning by merges against a plain restatement that counts all pairs anew for every merge, and that restatement against the
 * trainer it restates. Hugging Face breaks ties by ids, which differ from run to run: the restatement is told them.
 */
import assert from 'node:assert/strict';
import { spawnSync } from 'node:child_process';
import { mkdtempSync, readFileSync, rmSync } from 'node:fs';
import os from 'node:os';
import path from 'node:path';
import { after, test } from 'node:test';
import { writeBrownText } from '../../examples/brown-text.js';
import { learnVocabulary } from '../../src/text/learner.js';
import { WordTable } from '../../src/text/word-table.js';
import { needPython } from '../python.js';
import { randomInts } from '../random.js';

const folder = mkdtempSync(path.join(os.tmpdir(), 'galvani-merges-'));
after(() => rmSync(folder, { recursive: true }));

type Words = [word: string, count: number][];
type Pair = [left: string, right: string];

/** Whether `a` goes before `b` among equally common pairs. */
type TieRule = (a: Pair, b: Pair) => boolean;

const joined = ([left, right]: Pair) => left + right.replace('##', '');

const byBytes: TieRule = (a, b) =>
  Buffer.compare(Buffer.from(joined(a)), Buffer.from(joined(b))) < 0 ||
  (joined(a) === joined(b) && a[0].length < b[0].length);

/** The first `wanted` new pieces. */
function mergePlainly(words: Words, wanted: number, isBefore: TieRule): string[] {
  let split = words.map(([word, count]) => ({ parts: [...word].map((c, i) => (i === 0 ? c : `##${c}`)), count }));
  const pieces = new Set<string>();
  while (pieces.size < wanted) {
    const counts = new Map<string, number>();
    for (const { parts, count } of split) {
      for (let i = 1; i < parts.length; i++) {
        const key = `${parts[i - 1]} ${parts[i]}`;
        counts.set(key, (counts.get(key) ?? 0) + count);
      }
    }
    let best: Pair | undefined;
    let most = 0;
    for (const [key, count] of counts) {
      const pair = key.split(' ') as Pair;
      if (count > most || (count === most && best !== undefined && isBefore(pair, best))) [best, most] = [pair, count];
    }
    if (best === undefined) break;
    const [left, right] = best;
    pieces.add(joined(best));
    split = split.map(({ parts, count }) => {
      const next: string[] = [];
      for (let i = 0; i < parts.length; i++) {
        const isPair = parts[i] === left && parts[i + 1] === right;
        next.push(isPair ? joined([left, right]) : parts[i]);
        if (isPair) i++;
      }
      return { parts: next, count };
    });
  }
  return [...pieces];
}

function learnOurs(words: Words, wanted: number): string[] {
  const table = new WordTable();
  for (const [word, count] of words) table.addLines(Buffer.from(`${word}\n`.repeat(count)));
  const letters = new Set(words.flatMap(([word]) => [...word].flatMap((c) => (word.length > 1 ? [c, `##${c}`] : [c]))));
  const head = 5 + letters.size;
  const { pieces } = learnVocabulary(table.words(), { size: head + wanted, algorithm: 'merge' });
  assert.deepEqual(new Set(pieces.slice(5, head)), letters);
  return pieces.slice(head);
}

/** Words of the first 30 documents of the Brown corpus: 6,000 of them, nearly. */
function brownWords(): Words {
  const counts = new Map<string, number>();
  for (const id of writeBrownText(folder).slice(0, 30)) {
    for (const word of readFileSync(path.join(folder, `${id}.txt`), 'utf8')
      .toLowerCase()
      .split(/\s+/)) {
      if (/^[a-z]+$/.test(word)) counts.set(word, (counts.get(word) ?? 0) + 1);
    }
  }
  return [...counts];
}

/** Short words over few letters: ties everywhere, and a letter or piece three times in a row. */
function randomWords(seed: number): Words {
  const draws = randomInts(300 * 12, seed, 1 << 20);
  const counts = new Map<string, number>();
  for (let n = 0; n < draws.length; n += 12) {
    const letters = Array.from(draws.subarray(n, n + 1 + (draws[n + 10] % 10)), (draw) => 'abé'[draw % 3]);
    counts.set(letters.join(''), 1 + (draws[n + 11] % 30));
  }
  return [...counts];
}

test('pieces come in the order of the plain rule, ties by bytes', () => {
  for (const seed of [1, 2, 3, 4]) {
    const words = randomWords(seed);
    assert.deepEqual(learnOurs(words, 300), mergePlainly(words, 300, byBytes));
  }
  const brown = brownWords();
  assert.deepEqual(learnOurs(brown, 300), mergePlainly(brown, 300, byBytes));
});

const { python, skip } = needPython('tokenizers');

test("the plain rule is that of Hugging Face's trainer", { skip }, () => {
  for (const words of [brownWords(), randomWords(5)]) {
    const letters = new Set(words.flatMap(([word]) => [...word].flatMap((c, i) => (i === 0 ? [c] : [c, `##${c}`]))));
    const request = JSON.stringify({ words, size: 1 + letters.size + 300 });
    const { stdout, stderr, status } = spawnSync(python, ['test/text/wordpiece-trainer.py'], { input: request });
    assert.equal(status, 0, String(stderr));
    const theirs: string[] = JSON.parse(String(stdout));
    const ids = new Map(theirs.map((piece, id) => [piece, id]));
    const id = (piece: string) => ids.get(piece) ?? theirs.length;
    const byIds: TieRule = (a, b) => id(a[0]) < id(b[0]) || (a[0] === b[0] && id(a[1]) < id(b[1]));
    assert.deepEqual(theirs.slice(1 + letters.size), mergePlainly(words, 300, byIds));
  }
});
