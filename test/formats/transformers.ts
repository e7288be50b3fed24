/** An exported folder, opened by Python's transformers: equal ids, logits within 1e-4, the same bytes when saved again. */
import assert from 'node:assert/strict';
import { spawnSync } from 'node:child_process';
import path from 'node:path';
import { engineNames, loadEngine } from '../../src/engines/index.js';
import { modelParts, readModelFolder } from '../../src/formats/huggingface.js';
import { readTokenizer } from '../../src/formats/tokenizerFiles.js';
import { type Row, Runner } from '../../src/inference/runner.js';
import type { ModelPart } from '../../src/model/parameters.js';
import type { Tokenizer } from '../../src/text/tokenizer.js';
import { randomInts } from '../random.js';

const script = path.resolve('test/formats/open_export.py');
const limit = 1e-4;

interface Answer {
  encodings: { ids: number[]; types: number[] }[];
  maxLength: number;
  /** (B, T) of the discriminator, (B, N, V) of the generator. */
  logits: number[][] | number[][][];
  loading: Record<string, string[]>;
  savedAgain: Record<string, boolean>;
}

const texts: string[][] = [
  ['The jury said it was a cat.'],
  ['The jury walked, "naïvely", to the (über) Cat!', "It wasn't the word."],
  ['the [MASK] said [SEP] it was [UNK] a [PAD] cat [CLS]', '[MASK]'],
  ['[mask] [ MASK ] [MASK]s [MASK][MASK]'],
  [''],
  ['   \t\n a\u00a0b\u2003c \u0000\u200b\ufeff d\u0301 '],
  ['東京 東x京 😀 Ünïcödé ＡＢＣ １２ 10 9'],
  ['bbcd'.repeat(25), `${'bbcd'.repeat(25)}b`],
  ['-- [] \\ 100% $5.00 a_b ~ ^ `'],
];

/**
 * @param folder holds discriminator/ and generator/
 * @param places T of the rows that are compared, at most the model's positions
 */
export async function checkExport(folder: string, python: string, places: number): Promise<void> {
  const { config } = await readModelFolder(path.join(folder, 'discriminator'));
  const rows = randomRows(config.vocab_size, places);
  const answers = ask(python, folder, { texts, ...planesOf(rows, places) });
  for (const part of modelParts) {
    const answer = answers[part];
    assert.deepEqual(answer.loading, {}, `${part}: keys`);
    assert.deepEqual(answer.savedAgain, { 'model.safetensors': true, 'tokenizer.json': true }, part);
    const read = (await readTokenizer(path.join(folder, part)))!;
    assert.equal(answer.maxLength, read.maxLength);
    assert.deepEqual(
      answer.encodings,
      texts.map((text) => encodePair(read.tokenizer, text)),
    );
    const logits = await run(path.join(folder, part), rows);
    assertTelling(logits[0], part);
    for (const [i, { ids, masked }] of rows.entries()) {
      const theirs = answer.logits[i].flat();
      assert.equal(logits[i].length, part === 'discriminator' ? ids.length : masked!.length * config.vocab_size);
      for (const [n, value] of logits[i].entries()) {
        const where = `${part}, row ${i}, ${n}`;
        assert.ok(Math.abs(value - theirs[n]) <= limit, `${where}: ${value}, transformers ${theirs[n]}`);
      }
    }
  }
}

/** Equal logits would say nothing of weights that make all tokens alike: these must differ far beyond the limit. */
function assertTelling(logits: Float32Array, part: ModelPart): void {
  const range = logits.reduce((a, b) => Math.max(a, b)) - logits.reduce((a, b) => Math.min(a, b));
  assert.ok(range > 1000 * limit, `${part}: logits within ${range}`);
}

/** Full, padded and very short rows, with a second segment and without. */
function randomRows(vocabSize: number, places: number): Row[] {
  const lengths = [places, places, Math.floor(places / 2), 3];
  return lengths.map((length, i) => ({
    ids: [...randomInts(length, 70 + i, vocabSize - 1)].map((id) => id + 1),
    second: i === 0 ? length : Math.ceil(length / 3),
    masked: [length - 1, 1, Math.floor(length / 2)],
  }));
}

function planesOf(rows: readonly Row[], places: number) {
  const plane = (value: (row: Row, place: number) => number) =>
    rows.map((row) => Array.from({ length: places }, (_, place) => (place < row.ids.length ? value(row, place) : 0)));
  return {
    ids: plane(({ ids }, place) => ids[place]),
    types: plane(({ second }, place) => (place < second ? 0 : 1)),
    mask: plane(() => 1),
    places: rows.map(({ masked }) => masked),
  };
}

function encodePair(tokenizer: Tokenizer, [first, second]: string[]): { ids: number[]; types: number[] } {
  const ids = [...tokenizer.encode(first, { specialTokens: true })];
  const behind = second === undefined ? [] : [...tokenizer.encode(second), tokenizer.vocabulary.specialId('[SEP]')];
  return { ids: [...ids, ...behind], types: [...ids.map(() => 0), ...behind.map(() => 1)] };
}

async function run(folder: string, rows: Row[]): Promise<Float32Array[]> {
  const engine = await loadEngine(engineNames.includes('wasm') ? 'wasm' : 'reference');
  const runner = await Runner.open(engine, await readModelFolder(folder));
  try {
    return await runner.run(rows);
  } finally {
    await runner.close();
  }
}

function ask(python: string, folder: string, question: unknown): Record<ModelPart, Answer> {
  const { status, stdout, stderr } = spawnSync(python, [script, folder], {
    input: JSON.stringify(question),
    encoding: 'utf8',
    maxBuffer: 1 << 30,
    env: { ...process.env, HF_HUB_OFFLINE: '1', TRANSFORMERS_VERBOSITY: 'error' },
  });
  assert.equal(status, 0, stderr);
  return JSON.parse(stdout);
}
