/** What `loadModel` promises, on a small pair with random weights and the reference engine. */
import assert from 'node:assert/strict';
import { mkdtemp, rm } from 'node:fs/promises';
import os from 'node:os';
import path from 'node:path';
import { after, before, test } from 'node:test';
import { GalvaniError } from '../../src/errors.js';
import { writeModelFolders } from '../../src/formats/huggingface.js';
import { loadModel, type Model } from '../../src/inference/model.js';
import { windowsOf } from '../../src/inference/windows.js';
import { pretrainCases } from '../formats/fixtures.js';
import { pieces, tinyModel, trainedPair } from '../formats/pair.js';
import { randomInts } from '../random.js';

const positions = 40;
const [cls, sep, mask] = ['[CLS]', '[SEP]', '[MASK]'].map((piece) => pieces.indexOf(piece));
let folder: string;
let model: Model;
before(async () => {
  folder = await mkdtemp(path.join(os.tmpdir(), 'galvani-model-'));
  await writeModelFolders(path.join(folder, 'pair'), await trainedPair(tinyModel(positions)));
  model = await loadModel(path.join(folder, 'pair'), { engine: 'reference' });
});
after(async () => {
  await model.close();
  await rm(folder, { recursive: true });
});

const text = (length: number, seed: number) => [...randomInts(length, seed, pieces.length - 6)].map((id) => id + 6);
const framed = (length: number, seed: number) => [cls, ...text(length - 2, seed), sep];

test('a text has the same logits alone, in company and in any order', async () => {
  const texts = [5, 40, 1, 33, 0, 32, 17, 40, 2, 2, 3, 9].map((length, i) => text(length, i));
  const together = await model.discriminate(texts);
  assert.deepEqual(
    together.map(({ length }) => length),
    texts.map(({ length }) => length),
  );
  const reversed = (await model.discriminate(texts.toReversed())).reverse();
  assert.deepEqual(together, reversed);
  for (const [i, ids] of texts.entries()) assert.deepEqual(await model.discriminate([ids]), [together[i]]);
  assert.deepEqual(await model.discriminate([]), []);
});

test('a text longer than the positions has the values of its windows', async () => {
  for (const ids of [framed(101, 1), text(101, 2)]) {
    const isFramed = ids[0] === cls;
    const windows = windowsOf(ids.length, positions, isFramed);
    assert.ok(windows.length > 3);
    const alone = await model.discriminate(windows.map(({ places }) => places.map((place) => ids[place])));
    const expected = windows.flatMap(({ ownFrom, ownTo }, i) => [...alone[i].subarray(ownFrom, ownTo)]);
    const [values] = await model.discriminate([ids]);
    assert.deepEqual([...values], expected);
  }
});

test('token type 1 begins where it is said', async () => {
  const ids = framed(20, 3);
  const [one] = await model.discriminate([ids]);
  const [same] = await model.discriminate([ids], { seconds: [20] });
  const [pair] = await model.discriminate([ids], { seconds: [9] });
  assert.deepEqual(one, same);
  assert.notDeepEqual(one, pair);
});

test('every [MASK] is answered, in order, however many and however far', async () => {
  const ids = framed(95, 4);
  const places = [1, 2, 3, 4, 5, 6, 7, 8, 9, 10, 40, 60, 61, 93];
  for (const place of places) ids[place] = mask;
  const all = await model.fillMask(ids);
  assert.equal(all.length, places.length);
  for (const logits of all) assert.equal(logits.length, pieces.length);
  // A mask near the end is answered by the last window, which is a text of its own.
  const { places: last } = windowsOf(ids.length, positions, true).at(-1)!;
  const alone = await model.fillMask(last.map((place) => ids[place]));
  assert.deepEqual(alone.at(-1), all.at(-1));
  assert.deepEqual(await model.fillMask(framed(5, 5)), []);
});

test('texts are cut at the length the model was trained on, where that is shorter', async () => {
  const output = path.join(folder, 'short');
  await writeModelFolders(output, await trainedPair(tinyModel(positions), { maxLength: 10 }));
  const short = await loadModel(output, { engine: 'reference' });
  const ids = framed(30, 6);
  const windows = windowsOf(ids.length, 10, true);
  const alone = await model.discriminate(windows.map(({ places }) => places.map((place) => ids[place])));
  const expected = windows.flatMap(({ ownFrom, ownTo }, i) => [...alone[i].subarray(ownFrom, ownTo)]);
  assert.deepEqual([...(await short.discriminate([ids]))[0]], expected);
  await short.close();
});

test('by default the wasm engine computes, and agrees with the reference', async () => {
  const wasm = await loadModel(path.join(folder, 'pair'), { threads: 2 });
  const texts = [5, 40, 1, 33, 0, 32, 17, 101, 40, 2, 3, 9].map((length, i) => text(length, i));
  const [ours, expected] = [await wasm.discriminate(texts), await model.discriminate(texts)];
  for (const [i, values] of expected.entries()) assertNear(ours[i], values);
  const masked = framed(95, 4).map((id, place) => (place % 9 === 1 ? mask : id));
  const [filled, wanted] = [await wasm.fillMask(masked), await model.fillMask(masked)];
  assert.equal(filled.length, wanted.length);
  for (const [i, values] of wanted.entries()) assertNear(filled[i], values);
  await wasm.close();
});

test('an id outside the vocabulary is refused before anything runs', async () => {
  for (const id of [-1, pieces.length, 1.5, Number.NaN]) {
    await assert.rejects(
      model.discriminate([[1], [7, 7, id]]),
      new RegExp(`discriminator: expected ids from 0 to ${pieces.length - 1}, got ${id} \\(place 2\\)`),
    );
  }
});

test('what a folder lacks is named when it is asked for', async () => {
  const only = await loadModel(path.join(folder, 'pair', 'generator'), { engine: 'reference' });
  await assert.rejects(only.discriminate([[1]]), /folder of a discriminator, got only generator/);
  const bare = await loadModel(pretrainCases()[0].folder, { engine: 'reference' });
  await assert.rejects(bare.fillMask([1]), /vocab\.txt or tokenizer\.json beside the weights, got neither/);
  await assert.rejects(loadModel(folder, { engine: 'reference' }), isBadInput);
  await assert.rejects(loadModel(folder, { engine: 'refrence' }), /Did you mean "reference"/);
});

/** The limit for logits of the golden cases (their README, section 5), whose weights are of the same size. */
function assertNear(actual: Float32Array, expected: Float32Array): void {
  assert.equal(actual.length, expected.length);
  for (const [i, value] of actual.entries()) {
    assert.ok(Math.abs(value - expected[i]) <= 2e-5, `${i}: ${value}, expected ${expected[i]}`);
  }
}

function isBadInput(error: unknown): boolean {
  return error instanceof GalvaniError && error.kind === 'badInput';
}
