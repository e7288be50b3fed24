/** A run's generator leaves candidates, and a loader draws them as often as its own probabilities say. */
import assert from 'node:assert/strict';
import { spawn, spawnSync } from 'node:child_process';
import { readdirSync, readFileSync, statSync, writeFileSync } from 'node:fs';
import path from 'node:path';
import { before, test } from 'node:test';
import { type Batch, openLoader } from '../../src/batching/loader.js';
import type { LoaderOptions } from '../../src/batching/options.js';
import { loadEngine } from '../../src/engines/index.js';
import { type CacheCandidatesOptions, cacheCandidates } from '../../src/index.js';
import { buildFillMask } from '../../src/model/electra.js';
import { requireCheckpoint, restoreVariables } from '../../src/training/checkpoint.js';
import { presetTraining, settingsOf, withSettings } from '../../src/training/config.js';
import { pretrain } from '../../src/training/pretrain.js';
import { requireRun } from '../../src/training/run.js';
import { TopCandidates } from '../../src/training/topCandidates.js';
import { assertExpected } from '../chiSquare.js';
import { randomFloats } from '../random.js';
import { makeFolder, settings, vocabularySize, writeDataset } from './runs.js';

const folder = makeFolder('candidates');
const [data, run] = ['data', 'run'].map((name) => path.join(folder, name));
const common = { ...settings, mask_prob: 0.25, micro_batch_size: 4 };
const generatorOnly = [{ until: 1, replacement: 'generator' }];
const [K, k, B, T] = [7, 6, 8, 16];

before(async () => {
  await writeDataset(data);
  const short = {
    ...common,
    num_train_steps: 400,
    checkpoint_every: 400,
    evaluate_every: 400,
    learning_rate: 1e-2,
    stages: generatorOnly,
  };
  const configure = () => withSettings(presetTraining('tiny', vocabularySize), settingsOf(short, 'test'));
  await pretrain({ data, output: run, threads: 1, configure });
});

function optionsOf(name: string, changed: Partial<CacheCandidatesOptions> = {}): CacheCandidatesOptions {
  return { run, data, output: path.join(folder, name), steps: K, topK: k, threads: 1, ...changed };
}

/** Log-probabilities (B, N, V) of a batch by the float64 engine. */
async function openOracle(): Promise<{ logProbsOf(batch: Batch): Promise<Float64Array>; close(): Promise<void> }> {
  const { model } = (await requireRun(run)).training;
  const N = 4;
  const program = buildFillMask(model, { rows: B, places: T, masked: N, segments: 1 });
  const runtime = await (await loadEngine('reference')).load({ program });
  await restoreVariables(runtime, await requireCheckpoint(run, () => {}));
  const logProbsOf = async ({ ids, lengths, seconds, places, seen, counts }: Batch) => {
    const hidden = ids.slice();
    for (let row = 0; row < B; row++) {
      for (let j = 0; j < counts[row]; j++) hidden[row * T + places[row * N + j]] = seen[row * N + j];
    }
    const draw = new Int32Array(4);
    const inputs = { ids: hidden, lengths: lengths.slice(), seconds: seconds.slice(), places: places.slice(), draw };
    const { logits } = await (await runtime.submit('program', inputs)).outputs;
    const values = Float64Array.from(logits);
    for (let at = 0; at < values.length; at += vocabularySize) {
      const own = values.subarray(at, at + vocabularySize);
      const sum = own.reduce((total, logit) => total + Math.exp(logit), 0);
      for (let id = 0; id < vocabularySize; id++) own[id] -= Math.log(sum);
    }
    return values;
  };
  return { logProbsOf, close: () => runtime.close() };
}

test('candidates are the most likely ids of the run’s generator, and are drawn as often as it would sample them', async () => {
  const options = optionsOf('store');
  const progress: number[] = [];
  const made = await cacheCandidates({ ...options, onProgress: (done) => progress.push(done) });
  const bytes = K * (12 + B * 4 * k * 6);
  assert.deepEqual(made, { directory: options.output, batches: K, isDone: true, bytes });
  assert.deepEqual(progress, [1, 2, 3, 4, 5, 6, 7]);
  const records = readFileSync(path.join(options.output, 'candidates.bin'));
  assert.equal(records.length, bytes);

  const temperature = 0.5;
  const { validation_fraction: validationFraction } = settings;
  const cached: LoaderOptions = {
    ...{ data, batchSize: B, sequenceLength: T, seed: 0, validationFraction },
    masking: { maskProb: 0.25 },
    replacement: 'cached',
    candidates: options.output,
    temperature,
  };
  const rounds = 300;
  const oracle = await openOracle();
  const loader = await openLoader(cached);
  // By how likely a candidate is: the likeliest, the second, …
  const hits = new Array<number>(k).fill(0);
  const expected = new Array<number>(k).fill(0);
  let mostCovered = 0;
  const ranks: Map<number, number>[] = [];
  for (let step = 0; step < rounds * K; step++) {
    const batch = (await loader.next())!;
    const stored = step % K;
    if (step < K) {
      const logProbs = await oracle.logProbsOf(batch);
      for (let row = 0; row < B; row++) {
        for (let j = 0; j < 4; j++) {
          const at = row * 4 + j;
          const first = stored * (12 + B * 4 * k * 6) + 12;
          const ids = Array.from({ length: k }, (_, i) =>
            records.readUInt16LE(first + B * 4 * k * 4 + 2 * (at * k + i)),
          );
          const kept = Array.from({ length: k }, (_, i) => records.readFloatLE(first + 4 * (at * k + i)));
          if (j >= batch.counts[row]) {
            assert.deepEqual([...ids, ...kept], new Array(2 * k).fill(0));
            continue;
          }
          const own = logProbs.subarray(at * vocabularySize, (at + 1) * vocabularySize);
          const likeliest = [...own.keys()].sort((a, b) => own[b] - own[a]).slice(0, k);
          // Ids whose probabilities differ in the last bits only may change places.
          for (const [i, id] of likeliest.entries()) assert.ok(Math.abs(own[ids[i]] - own[id]) < 1e-4);
          for (const [i, id] of ids.entries()) assert.ok(Math.abs(kept[i] - own[id]) < 1e-4, `${kept[i]} ${own[id]}`);
          assert.equal(new Set(ids).size, k);
          const weights = ids.map((id) => Math.exp(own[id]) ** (1 / temperature));
          const total = weights.reduce((sum, weight) => sum + weight, 0);
          for (const [i, weight] of weights.entries()) expected[i] += (rounds * weight) / total;
          mostCovered = Math.max(mostCovered, ...ids.map((id) => Math.exp(own[id])));
          ranks[stored * B * 4 + at] = new Map(ids.map((id, i) => [id, i]));
        }
      }
    }
    for (let row = 0; row < B; row++) {
      for (let j = 0; j < batch.counts[row]; j++) {
        const at = row * 4 + j;
        hits[ranks[stored * B * 4 + at].get(batch.given![at])!]++;
      }
    }
    batch.release();
  }
  await loader.close();
  await oracle.close();
  assert.ok(mostCovered > 0.1, `the generator has learned something: ${mostCovered}`);
  assertExpected(hits, expected, 'ranks of what was drawn');
});

test('a run trains on them, with the settings that they were stored for and no others', async () => {
  const { output: candidates } = optionsOf('store');
  await cacheCandidates(optionsOf('store'));
  const own = { num_train_steps: 20, stages: [{ until: 1, replacement: 'cached' }], candidates, gen_weight: 0 };
  const train = (name: string, changed: object) => {
    const wanted = settingsOf({ ...common, ...own, ...changed }, 'test');
    const configure = () => withSettings(presetTraining('tiny', vocabularySize), wanted);
    return pretrain({ data, output: path.join(folder, name), threads: 1, configure });
  };
  const { step, isDone } = await train('student', {});
  assert.deepEqual({ step, isDone }, { step: 20, isDone: true });
  await assert.rejects(train('stranger', { mask_prob: 0.2 }), /candidates: expected candidates for the batches/);
});

test('one that was stopped, and one that was killed, go on to the same bytes', async () => {
  const whole = optionsOf('store');
  await cacheCandidates(whole);
  const stopping = new AbortController();
  const stopped = optionsOf('stopped', {
    signal: stopping.signal,
    onProgress: (done) => {
      if (done === 3) stopping.abort();
    },
  });
  const { isDone, batches } = await cacheCandidates(stopped);
  assert.deepEqual({ isDone, batches }, { isDone: false, batches: 3 });
  assert.ok(!readdirSync(folder).includes('stopped'));
  const progress: number[] = [];
  await cacheCandidates({ ...stopped, signal: undefined, workers: 2, onProgress: (done) => progress.push(done) });
  assert.deepEqual(progress, [4, 5, 6, 7]);

  const killed = optionsOf('killed');
  const script = path.join(folder, 'killed.mjs');
  const source = `
    import { cacheCandidates } from ${JSON.stringify(new URL('../../src/index.js', import.meta.url).href)};
    await cacheCandidates({ ...${JSON.stringify(killed)}, onProgress: (done) => {
      if (done === 4) process.kill(process.pid, 'SIGKILL');
    } });`;
  writeFileSync(script, source);
  const child = spawn(process.execPath, [script], { stdio: 'inherit', timeout: 60_000 });
  const signal = await new Promise((resolve) => child.once('close', (_, by) => resolve(by)));
  assert.equal(signal, 'SIGKILL');
  assert.equal(
    statSync(path.join(`${killed.output}.partial`, 'store', 'candidates.bin')).size,
    4 * (12 + B * 4 * k * 6),
  );
  await cacheCandidates(killed);

  for (const { output } of [stopped, killed]) {
    assert.ok(!readdirSync(folder).includes(`${path.basename(output)}.partial`));
    for (const name of ['candidates.json', 'candidates.bin']) {
      assert.ok(readFileSync(path.join(output, name)).equals(readFileSync(path.join(whole.output, name))), name);
    }
  }
});

test('what a run will use them with is taken instead of what the generator was trained with', async () => {
  const options = optionsOf('others', { steps: 2, settings: { seed: 5, batch_size: 4, sequence_length: 12 } });
  await cacheCandidates(options);
  const { origin } = JSON.parse(readFileSync(path.join(options.output, 'candidates.json'), 'utf8'));
  assert.deepEqual([origin.seed, origin.batchSize, origin.sequenceLength], ['5', 4, 12]);
});

test('the example of docs/replacement.md runs as it stands there', async () => {
  const page = readFileSync(new URL('../../../docs/replacement.md', import.meta.url), 'utf8');
  const [, code] = /```js\n(.*?)```/s.exec(page)!;
  const place = makeFolder('replacement');
  await writeDataset(path.join(place, 'tokens'));
  const wanted = settingsOf(
    { ...common, num_train_steps: 5, validation_fraction: 0.07, stages: generatorOnly },
    'test',
  );
  const configure = () => withSettings(presetTraining('tiny', vocabularySize), wanted);
  await pretrain({
    data: path.join(place, 'tokens'),
    output: path.join(place, 'runs', 'teacher'),
    threads: 1,
    configure,
  });
  const script = path.join(place, 'example.mjs');
  writeFileSync(script, code.replace("'galvani'", `'${new URL('../../src/index.js', import.meta.url).href}'`));
  const { status, stdout, stderr } = spawnSync(process.execPath, [script], { cwd: place, encoding: 'utf8' });
  assert.equal(status, 0, stderr);
  assert.match(stdout, /200 of 200 batches\nInt32Array\(32\)/);
});

test('numbers, runs and datasets that cannot be are refused before anything is made', async () => {
  const other = path.join(folder, 'other');
  await writeDataset(other, 20);
  const cases: [Partial<CacheCandidatesOptions>, RegExp][] = [
    [{ topK: 0 }, /candidates: expected a whole number from 1 to 60, got 0 \(topK\)/],
    [{ topK: 61 }, /got 61 \(topK\)/],
    [{ steps: 0 }, /got 0 \(steps\)/],
    [{ run: data }, /run: expected a run folder/],
    [{ settings: { sequence_length: 25 } }, /expected sequence_length to be at most max_position_embeddings \(24\)/],
    [{ data: path.join(folder, 'none') }, /dataset: expected a folder made by "galvani prepare"/],
  ];
  for (const [changed, message] of cases) await assert.rejects(cacheCandidates(optionsOf('refused', changed)), message);
  assert.deepEqual(
    readdirSync(folder).filter((name) => name.startsWith('refused')),
    [],
  );
  await assert.rejects(cacheCandidates(optionsOf('store', { data: other })), /manifestSha256 is .* there/);
});

test('ranking: a full sort of softmax says the same, and what is no number is told', () => {
  const V = 500;
  const logits = randomFloats(3 * V, 9, 6);
  logits[V + 7] = logits[V + 3];
  logits[V + 9] = 7;
  logits[V + 8] = 7;
  for (const topK of [1, 2, 9, V]) {
    const top = new TopCandidates(V, topK);
    const ids = new Int32Array(2 * topK);
    const logProbs = new Float32Array(2 * topK);
    for (let row = 0; row < 3; row++) {
      top.rank(logits, row * V, ids, logProbs, topK);
      const own = logits.subarray(row * V, (row + 1) * V);
      const order = [...own.keys()].sort((a, b) => own[b] - own[a] || a - b).slice(0, topK);
      assert.deepEqual([...ids.subarray(topK)], order);
      const sum = own.reduce((total, logit) => total + Math.exp(logit), 0);
      for (const [i, id] of order.entries()) {
        assert.ok(Math.abs(logProbs[topK + i] - (own[id] - Math.log(sum))) < 1e-6);
      }
    }
  }
  for (const wrong of [Number.NaN, Number.POSITIVE_INFINITY]) {
    const spoiled = logits.slice();
    spoiled[40] = wrong;
    assert.throws(() => new TopCandidates(V, 2).rank(spoiled, 0, new Int32Array(2), new Float32Array(2), 0), /finite/);
  }
});
