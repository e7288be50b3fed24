/** From files to a vocabulary: head, alphabet, which words are learned from, settings, and what goes wrong. */
import assert from 'node:assert/strict';
import { spawnSync } from 'node:child_process';
import { mkdtempSync, readFileSync, rmSync, truncateSync, writeFileSync } from 'node:fs';
import os from 'node:os';
import path from 'node:path';
import { after, test } from 'node:test';
import { fileURLToPath } from 'node:url';
import { listInputs } from '../../src/corpus/inputs.js';
import { trainVocabulary, type VocabularySettings } from '../../src/corpus/vocabulary.js';
import { spellWords } from '../../src/text/spelling.js';
import { WordTable } from '../../src/text/word-table.js';

const folder = mkdtempSync(path.join(os.tmpdir(), 'galvani-vocabulary-'));
after(() => rmSync(folder, { recursive: true }));

const english = 'low lower lowest new newer newest wide wider widest\n'.repeat(20);

function train(text: string, settings: Partial<VocabularySettings> & { size: number }) {
  const file = path.join(folder, 'text.txt');
  writeFileSync(file, text);
  return trainVocabulary(listInputs([file], []), { threads: 2, ...settings });
}

function countWords(lines: string): WordTable {
  const table = new WordTable();
  table.addLines(Buffer.from(lines));
  return table;
}

test('with 99 unused entries the special tokens have the ids of BERT, and nothing else moves', async () => {
  const plain = (await train(english, { size: 32 })).vocabulary.pieces;
  const { vocabulary } = await train(english, { size: 131, unused: 99 });
  assert.deepEqual(plain.slice(0, 5), ['[PAD]', '[UNK]', '[CLS]', '[SEP]', '[MASK]']);
  assert.deepEqual(vocabulary.pieces.slice(0, 2), ['[PAD]', '[unused1]']);
  assert.deepEqual(vocabulary.pieces.slice(99, 104), ['[unused99]', '[UNK]', '[CLS]', '[SEP]', '[MASK]']);
  assert.deepEqual(vocabulary.pieces.slice(104), plain.slice(5));
  await assert.rejects(train(english, { size: 131, unused: 1e9 }), /expected a size of at least 1000000025 pieces/);
});

test('the alphabet is what makes up 99.99 % of the characters; a word with any other is unknown', async () => {
  const alphabetOf = (text: string) => spellWords(countWords(text.replaceAll(' ', '\n')).words()).letters.join('');
  assert.equal(alphabetOf('a '.repeat(9999) + 'z '), 'a');
  assert.equal(alphabetOf('a '.repeat(9998) + 'z '), 'az');
  assert.equal(alphabetOf('a '.repeat(19_998) + 'z y '), 'a');
  const { report } = await train('ab '.repeat(20_000) + 'az ', { size: 9 });
  assert.equal(report.alphabet, 2);
  assert.equal(report.unknownFraction * report.tokens, 1);
});

test('beyond the most words that are learned from, the rarest are left out, whatever their order', () => {
  const words = ['the', 'of', ...Array.from({ length: 60 }, (_, n) => `w${'abcdefghij'[n % 10]}${'klmnop'[n % 6]}`)];
  const lines = [...words, ...words.slice(0, 22), 'the', 'of', 'of'].map((word) => `${word}\n`);
  const spelled = (order: string[], most: number) => {
    const { letters, places, ends, counts } = spellWords(countWords(order.join('')).words(), most);
    const kept = [...ends].map((end, i) => [...places.subarray(ends[i - 1] ?? 0, end)].map((n) => letters[n]).join(''));
    return kept.map((word, i) => `${counts[i]} ${word}`).sort();
  };
  const all = spelled(lines, 1000);
  assert.equal(all.length, 32); // "of" came four times, "the" and twenty others three times, ten twice
  for (const most of [1, 2, 7, 12, 25, 31]) {
    const kept = spelled(lines, most);
    assert.equal(kept.length, most);
    assert.deepEqual(spelled([...lines].reverse(), most), kept);
    const rarest = Math.min(...kept.map((word) => Number.parseInt(word, 10)));
    const commoner = all.filter((word) => Number.parseInt(word, 10) > rarest);
    for (const word of commoner) assert.ok(kept.includes(word), `${word} of ${most}`);
  }
});

test('words are split as the profile and --cased say', async () => {
  const letters = async (settings: Partial<VocabularySettings>) => {
    const { vocabulary } = await train('ΟΔΟΣ Été\n'.repeat(50), { size: 17, ...settings });
    return vocabulary.pieces.filter((piece) => piece.length === 1).join('');
  };
  assert.equal(await letters({}), 'etδοσ');
  assert.equal(await letters({ profile: 'electra' }), 'etδος');
  assert.equal(await letters({ lowercase: false }), 'tÉéΔΟΣ');
});

test('a file that changes while it is counted is an error that names it', async () => {
  const file = path.join(folder, 'shrinks.txt');
  writeFileSync(file, english);
  const files = listInputs([file], []);
  truncateSync(file, 10);
  await assert.rejects(
    trainVocabulary(files, { size: 32, threads: 1 }),
    /^GalvaniError: corpus: expected 1040 bytes, as when the work was planned, got 10 \(.*shrinks\.txt\)/,
  );
});

test('"galvani vocab" hands on what it is told', () => {
  const main = fileURLToPath(new URL('../../src/cli/main.js', import.meta.url));
  writeFileSync(path.join(folder, 'words.txt'), english);
  const run = (...flags: string[]) => {
    const args = [main, 'vocab', '--input', 'words.txt', '--output', 'vocab.txt', '--size', '30', ...flags];
    const { status, stderr } = spawnSync(process.execPath, args, { cwd: folder, encoding: 'utf8' });
    assert.equal(status, 0, stderr);
    return readFileSync(path.join(folder, 'vocab.txt'), 'utf8').split('\n');
  };
  const plain = run('--unused', '0', '--threads', '1', '--profile', 'electra');
  assert.deepEqual(run('--algorithm', 'top-down'), plain);
  assert.notDeepEqual(run('--algorithm', 'merge'), plain);
  assert.equal(run('--unused', '4')[5], '[UNK]');
});
