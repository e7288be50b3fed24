/** Logits of the golden cases, through the folders and programs that inference uses, on every engine. */
import assert from 'node:assert/strict';
import path from 'node:path';
import { test } from 'node:test';
import { engineNames, loadEngine } from '../../src/engines/index.js';
import { readModelFolder } from '../../src/formats/huggingface.js';
import { readSafetensors } from '../../src/formats/safetensors.js';
import { maskedPlaces, type Row, Runner } from '../../src/inference/runner.js';
import type { ModelPart } from '../../src/model/parameters.js';
import { pretrainCases } from '../formats/fixtures.js';

/** The fixtures' README, section 5. */
const limits: Record<ModelPart, number> = { discriminator: 1e-5, generator: 2e-5 };

for (const { name, folder } of pretrainCases()) {
  for (const engine of engineNames) {
    test(`${name}: the discriminator's logits are PyTorch's on ${engine}`, async () => {
      const known = await readCase(folder);
      const wanted = Array.from({ length: known.rows }, (_, row) => rowOf(known, 'corrupted_ids', row));
      const logits = await run(engine, folder, 'discriminator', wanted);
      const all = known.expected('discriminator_logits');
      for (const [row, values] of logits.entries()) {
        assert.equal(values.length, wanted[row].ids.length);
        assertNear(values, all.subarray(row * known.places), limits.discriminator, `row ${row}`);
      }
    });

    test(`${name}: the generator's logits are PyTorch's on ${engine}`, async () => {
      const known = await readCase(folder);
      const { batch, rows } = known;
      const asked: { row: Row; slots: number[] }[] = [];
      const slotsARow = batch('masked_positions').length / rows;
      for (let row = 0; row < rows; row++) {
        const slots = Array.from({ length: slotsARow }, (_, n) => row * slotsARow + n).filter(
          (slot) => batch('masked_weights')[slot] === 1,
        );
        for (let first = 0; first < slots.length; first += maskedPlaces) {
          const part = slots.slice(first, first + maskedPlaces);
          const masked = part.map((slot) => batch('masked_positions')[slot]);
          asked.push({ row: { ...rowOf(known, 'masked_input_ids', row), masked }, slots: part });
        }
      }
      const logits = await run(
        engine,
        folder,
        'generator',
        asked.map(({ row }) => row),
      );
      const all = known.expected('generator_logits');
      const pieces = all.length / (rows * slotsARow);
      for (const [i, { slots }] of asked.entries()) {
        for (const [n, slot] of slots.entries()) {
          const values = logits[i].subarray(n * pieces, (n + 1) * pieces);
          assert.equal(values.length, pieces);
          assertNear(values, all.subarray(slot * pieces), limits.generator, `slot ${slot}`);
        }
      }
    });
  }
}

interface Case {
  readonly rows: number;
  readonly places: number;
  batch(name: string): Float32Array | Int32Array;
  expected(name: string): Float32Array;
}

async function readCase(folder: string): Promise<Case> {
  const { tensors: batch } = await readSafetensors(path.join(folder, 'batch.safetensors'));
  const { tensors: expected } = await readSafetensors(path.join(folder, 'expected.safetensors'));
  const [rows, places] = batch.get('input_ids')!.shape;
  return {
    rows,
    places,
    batch: (name) => batch.get(name)!.values,
    expected: (name) => expected.get(name)!.values as Float32Array,
  };
}

/** One row without its padding. */
function rowOf({ batch, places }: Case, ids: string, row: number): Row {
  const slice = (name: string) => [...batch(name).subarray(row * places, (row + 1) * places)];
  const length = slice('attention_mask').reduce((sum, one) => sum + one, 0);
  const types = slice('token_type_ids').slice(0, length);
  return { ids: slice(ids).slice(0, length), second: types.includes(1) ? types.indexOf(1) : length };
}

async function run(engine: string, folder: string, part: ModelPart, rows: Row[]): Promise<Float32Array[]> {
  const runner = await Runner.open(await loadEngine(engine), await readModelFolder(path.join(folder, part)));
  try {
    return await runner.run(rows);
  } finally {
    await runner.close();
  }
}

function assertNear(actual: Float32Array, expected: Float32Array, limit: number, where: string): void {
  for (const [i, value] of actual.entries()) {
    assert.ok(Math.abs(value - expected[i]) <= limit, `${where}, ${i}: ${value}, expected ${expected[i]}`);
  }
}
