/**
 * Held-out sentences with pieces replaced by seeded draws from the pieces of such text, as in the first stage of training,
 * and the pieces that the discriminator suspects most, as many in each sentence as were replaced: found, missed, or
 * suspected although nobody touched them.
 */
import { readdirSync, readFileSync } from 'node:fs';
import path from 'node:path';
import { createColors } from 'picocolors';
import { readManifest } from '../src/dataset/dataset.js';
import { readHeldOut } from '../src/dataset/split.js';
import { loadModel } from '../src/inference/model.js';
import { drawWord, keyOfSeed } from '../src/random/philox.js';
import { streams } from '../src/random/streams.js';
import { wantsColour } from '../src/report/tokens.js';
import type { Tokenizer } from '../src/text/tokenizer.js';

const sentences = 10;
const replacedFraction = 0.13;

/** Pieces of one held-out sentence in their frame, with those that were put in place of others. */
interface Corrupted {
  readonly ids: Uint32Array;
  readonly isReplaced: readonly boolean[];
}

export async function showSentences(
  modelFolder: string,
  text: string,
  data: string,
  validationFraction: number,
): Promise<void> {
  const model = await loadModel(modelFolder);
  const { green, red, yellow } = createColors(wantsColour());
  const tally = { pieces: 0, replaced: 0, found: 0, chance: 0 };
  const lines = await readHeldOutLines(text, data, validationFraction);
  for (const { ids, isReplaced } of corruptSentences(model.tokenizer, lines)) {
    const [logits] = await model.discriminate([ids]);
    const replaced = isReplaced.filter(Boolean).length;
    const own = logits.subarray(1, -1);
    const threshold = [...own].sort((a, b) => b - a)[replaced - 1];
    let line = '';
    for (let i = 1; i < ids.length - 1; i++) {
      const piece = model.tokenizer.idToToken(ids[i]) ?? '';
      const isSuspect = logits[i] >= threshold;
      const isContinued = piece.startsWith('##') && i > 1;
      if (!isContinued && i > 1) line += ' ';
      line += mark(isContinued ? piece.slice(2) : piece, isReplaced[i], isSuspect);
      if (isReplaced[i] && isSuspect) tally.found++;
    }
    tally.pieces += own.length;
    tally.replaced += replaced;
    tally.chance += replaced ** 2 / own.length;
    console.log(`   ${line}`);
  }
  await model.close();
  console.log(`   ${green('[found]')}   ${red('{missed}')}   ${yellow('(suspected, but untouched)')}`);
  console.log(
    `   of ${tally.pieces} pieces ${tally.replaced} were replaced; found ${tally.found}, where guessing finds ${tally.chance.toFixed(1)}`,
  );

  function mark(text: string, isReplaced: boolean, isSuspect: boolean): string {
    if (isReplaced) return isSuspect ? green(`[${text}]`) : red(`{${text}}`);
    return isSuspect ? yellow(`(${text})`) : text;
  }
}

/** Sentences of 9 to 20 words from documents that training never saw. */
async function readHeldOutLines(text: string, data: string, validationFraction: number): Promise<string[]> {
  const held: number[] = [];
  for (const { file, rows } of (await readManifest(data)).shards) {
    held.push(...(await readHeldOut(path.join(data, file), rows, validationFraction)));
  }
  return readdirSync(text)
    .sort()
    .filter((_, i) => held[i] === 1)
    .flatMap((file) => readFileSync(path.join(text, file), 'utf8').split('\n'))
    .filter((line) => /^(\S+ ){8,19}\S+$/.test(line));
}

function corruptSentences(tokenizer: Tokenizer, lines: readonly string[]): Corrupted[] {
  const pool = lines.flatMap((line) => [...tokenizer.encode(line)]);
  const draw = (sentence: number, index: number, bound: number) =>
    Math.floor((drawWord(keyOfSeed(0), streams.demonstration, sentence, index) / 2 ** 32) * bound);
  return Array.from({ length: sentences }, (_, n) => {
    const original = tokenizer.encode(lines[draw(n, 0, lines.length)], { specialTokens: true });
    const ids = original.slice();
    for (let i = 0; i < Math.max(1, Math.round(replacedFraction * ids.length)); i++) {
      ids[1 + draw(n, 1 + 2 * i, ids.length - 2)] = pool[draw(n, 2 + 2 * i, pool.length)];
    }
    return { ids, isReplaced: Array.from(ids, (id, i) => id !== original[i]) };
  });
}
