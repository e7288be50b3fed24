/**
 * Padding is not computed, and nothing of it is ever read: steps of batches that are empty, short, odd, full or of
 * several segments are the float64 engine's; what stood in memory before does not matter; and padding more or less
 * changes no bit.
 */
import assert from 'node:assert/strict';
import { test } from 'node:test';
import type { Engine, Inputs, Outputs, Runtime, TypedArray } from '../../src/engines/engine.js';
import { referenceEngine } from '../../src/engines/reference/reference.js';
import { layOut } from '../../src/engines/wasm/layout.js';
import { planPacking } from '../../src/engines/wasm/packing.js';
import { wasmEngine } from '../../src/engines/wasm/wasm.js';
import { type BatchShape, buildTrain } from '../../src/model/electra.js';
import { add, scale } from '../../src/ops/arithmetic.js';
import { attention } from '../../src/ops/attention.js';
import { drawType } from '../../src/ops/dropout.js';
import { embed } from '../../src/ops/embed.js';
import { layerNormOperation } from '../../src/ops/layerNorm.js';
import { linear } from '../../src/ops/linear.js';
import { float32, int32, sizeOf } from '../../src/ops/operation.js';
import { ProgramBuilder } from '../../src/program/builder.js';
import { flopsOf } from '../../src/program/print.js';
import type { Program } from '../../src/program/program.js';
import { randomWeights, tinyModel, tinySettings } from '../model/tiny.js';
import { randomFloats, randomInts } from '../random.js';

const pieces = 211;
/** 6 · 21 rows are no multiple of a tile's. */
const shape: BatchShape = { rows: 6, places: 21, masked: 4, segments: 3 };

/** Lengths of three segments, a row of the batch after another. */
const batches: Readonly<Record<string, readonly number[][]>> = {
  full: [
    [21, 0, 0],
    [7, 7, 7],
    [1, 19, 1],
    [20, 1, 0],
    [21, 0, 0],
    [10, 11, 0],
  ],
  mixed: [
    [0, 0, 0],
    [1, 0, 0],
    [5, 3, 0],
    [21, 0, 0],
    [2, 7, 4],
    [13, 0, 0],
  ],
  short: [
    [1, 0, 0],
    [1, 1, 1],
    [2, 0, 0],
    [3, 0, 0],
    [4, 1, 0],
    [5, 0, 0],
  ],
  'one token': [
    [0, 0, 0],
    [0, 0, 0],
    [0, 0, 0],
    [0, 0, 0],
    [1, 0, 0],
    [0, 0, 0],
  ],
  empty: [
    [0, 0, 0],
    [0, 0, 0],
    [0, 0, 0],
    [0, 0, 0],
    [0, 0, 0],
    [0, 0, 0],
  ],
};

function batchOf(name: string, { places, masked, segments, rows } = shape): Inputs {
  const lengths = Int32Array.from(batches[name].flat());
  const reals = batches[name].map((row) => row.reduce((a, b) => a + b));
  const counts = Int32Array.from(reals, (real) => Math.min(real, masked));
  const ids = randomInts(rows * shape.places, 1, pieces);
  return {
    ids: Int32Array.from(
      { length: rows * places },
      (_, i) => ids[Math.floor(i / places) * shape.places + (i % places)],
    ),
    lengths,
    seconds: lengths.map((length, i) => (i % segments === 0 ? length : Math.floor(length / 2))),
    places: randomInts(rows * masked, 2, 1 << 20).map((word, i) => word % Math.max(1, reals[Math.floor(i / masked)])),
    seen: randomInts(rows * masked, 3, pieces),
    counts,
    given: randomInts(rows * masked, 4, pieces),
    denominators: Float32Array.of(
      counts.reduce((a, b) => a + b),
      lengths.reduce((a, b) => a + b),
    ),
    draw: Int32Array.of(5, 6, 7, 8),
    rate: Float32Array.of(1e-2),
  };
}

function trainProgram(dropout: number, extents = shape) {
  const model = tinyModel({
    vocab_size: pieces,
    embedding_size: 20,
    hidden_size: 36,
    intermediate_size: 68,
    max_position_embeddings: 40,
    hidden_dropout_prob: dropout,
    attention_probs_dropout_prob: dropout,
  });
  const optimizer = {
    beta1: 0.9,
    beta2: 0.999,
    epsilon: 1e-6,
    biasCorrection: true,
    weightDecay: 0.01,
    maxGradNorm: 1,
  };
  return { model, program: buildTrain({ ...tinySettings(model, extents), optimizer, exposesAll: true }) };
}

/** One step from the same weights. */
async function stepOf(runtime: Runtime, model: ReturnType<typeof tinyModel>, inputs: Inputs): Promise<Outputs> {
  await runtime.write(new Map(runtime.variables().map(({ name, shape }) => [name, new Float32Array(sizeOf(shape))])));
  await randomWeights(runtime, model, 3);
  return (await runtime.submit('train', inputs)).outputs;
}

/** Real places of the batch, by which logits are judged. */
function realPlaces({ lengths }: Inputs, { rows, places, segments } = shape): boolean[] {
  return Array.from({ length: rows * places }, (_, i) => {
    const row = Math.floor(i / places);
    let real = 0;
    for (let s = row * segments; s < (row + 1) * segments; s++) real += lengths[s];
    return i % places < real;
  });
}

test('all that a training step has for every place is packed, and nothing else', () => {
  const { program } = trainProgram(0.1);
  const { packings, packingOf } = planPacking(program);
  assert.deepEqual(packings, [{ lengths: program.inputs.lengths, rows: 6, places: 21, segments: 3 }]);
  for (const [tensor, { kind, dtype, shape: extents }] of program.tensors.entries()) {
    const isStructured =
      (extents.length === 3 && extents[0] === 6 && extents[1] === 21) ||
      (extents.length === 1 && extents[0] === 6 * 21);
    assert.equal(
      packingOf.has(tensor),
      kind === 'value' && dtype === 'float32' && isStructured,
      `${tensor}: ${extents}`,
    );
  }
});

for (const dropout of [0, 0.1]) {
  test(`steps of any lengths are the float64 engine's, dropout ${dropout}`, async () => {
    const { model, program } = trainProgram(dropout);
    const [exact, runtime] = [
      await referenceEngine.load({ train: program }),
      await wasmEngine.load({ train: program }),
    ];
    try {
      for (const name of Object.keys(batches)) {
        const inputs = batchOf(name);
        const [expected, got] = [await stepOf(exact, model, inputs), await stepOf(runtime, model, inputs)];
        const isReal = realPlaces(inputs);
        const isUsed = (place: number) => place % shape.masked < inputs.counts[Math.floor(place / shape.masked)];
        for (const [output, values] of Object.entries(expected)) {
          const isJudged = (i: number) => {
            if (output === 'discriminatorLogits') return isReal[i];
            if (output === 'generatorLogits') return isUsed(Math.floor(i / pieces));
            return output !== 'logSumExp' || isUsed(i);
          };
          // The limit of the parity fixtures (test/parity), as micro-batches have it in wasmTeam.test.ts.
          const largest = Array.from(values).reduce((most, value) => Math.max(most, Math.abs(value)), 0);
          for (const [i, value] of values.entries()) {
            const error = Math.abs(got[output][i] - value);
            if (isJudged(i)) assert.ok(error <= 2e-5 * Math.max(largest, 0.5), `${name}: ${output}[${i}], ${error}`);
          }
        }
        const logits = Array.from(got.discriminatorLogits);
        assert.ok(
          logits.every((logit, i) => isReal[i] || Object.is(logit, 0)),
          `${name}: padding is not 0`,
        );
      }
    } finally {
      await runtime.close();
    }
  });
}

test('no bit depends on what memory held, on steps before, or on the number of threads', async () => {
  const { model, program } = trainProgram(0.1);
  const results = new Map<string, [Outputs, Map<string, TypedArray>]>();
  for (const [threads, poison] of [
    [1, 0],
    [1, Number.NaN],
    [2, Number.POSITIVE_INFINITY],
    [3, 3e38],
    [5, Number.NaN],
  ]) {
    const { runtime, memory } = await loadWithMemory(program, threads);
    try {
      const work = workOf(memory, program, threads);
      for (const name of [...Object.keys(batches), ...Object.keys(batches).reverse()]) {
        for (const floats of work) floats.fill(poison);
        const outputs = await stepOf(runtime, model, batchOf(name));
        const state = await runtime.snapshot();
        if (results.has(name))
          assert.deepEqual([outputs, state], results.get(name), `${name}, ${threads} threads, ${poison}`);
        else results.set(name, [outputs, state]);
      }
    } finally {
      await runtime.close();
    }
  }
  for (const [name, [outputs]] of results) {
    for (const values of Object.values(outputs)) assert.ok(values.every(Number.isFinite), name);
  }
});

test('a batch has the same step in bits with less padding', async () => {
  for (const name of ['mixed', 'short', 'one token', 'empty']) {
    const [wide, narrow] = await Promise.all(
      [shape.places + 9, 21].map(async (places) => {
        const extents = { ...shape, places };
        const { model, program } = trainProgram(0, extents);
        const runtime = await wasmEngine.load({ train: program }, { threads: 2 });
        try {
          const inputs = batchOf(name, extents);
          const { discriminatorLogits, labels, ...outputs } = await stepOf(runtime, model, inputs);
          const isReal = realPlaces(inputs, extents);
          const real = (values: TypedArray) => Array.from(values).filter((_, i) => isReal[i]);
          return {
            ...outputs,
            logits: real(discriminatorLogits),
            labels: real(labels),
            state: await runtime.snapshot(),
          };
        } finally {
          await runtime.close();
        }
      }),
    );
    assert.deepEqual(wide, narrow, name);
  }
});

test('what a step costs counts real rows alone, and attention inside its segments', async () => {
  const extents = { ...shape, places: shape.places + 9 };
  const { program } = trainProgram(0.1, extents);
  const full = flopsOf(trainProgram(0.1).program);
  const runtime = await wasmEngine.load({ train: program }, { threads: 1 });
  try {
    const one = batchOf('full', extents);
    const oneSegment = { ...one, lengths: one.lengths.map((_, i) => (i % shape.segments === 0 ? shape.places : 0)) };
    assert.equal(runtime.flopsOn!('train', oneSegment), full);
    const { operations } = await runtime.profile('train', oneSegment);
    assert.equal(
      operations.reduce((sum, { flops }) => sum + flops, 0),
      full,
    );

    const squares = (lengths: readonly number[]) => lengths.reduce((sum, length) => sum + length ** 2, 0);
    const left = shape.rows * shape.places ** 2 - squares(batches.full.flat());
    const saved = program.operations.map(({ name, inputs: [q] }) => {
      const products = { attention: 2, attentionGradient: 5 }[name];
      return products === undefined ? 0 : products * 2 * left * program.tensors[q].shape[2];
    });
    assert.equal(runtime.flopsOn!('train', one), full - saved.reduce((a, b) => a + b));
  } finally {
    await runtime.close();
  }
});

test('what meets values that are not packed, or other walls, is computed in padding too', async () => {
  const build = new ProgramBuilder();
  const lengths = build.input('lengths', int32(3, 2));
  const table = (name: string, rows: number) => build.input(name, float32(rows, 4));
  const tables = { words: table('words', 9), positions: table('positions', 5), types: table('types', 2) };
  const sum = embed(build, build.input('ids', int32(3, 5)), lengths, build.input('seconds', int32(3, 2)), tables);
  const projected = linear(build, sum, build.input('weight', float32(4, 4)), build.input('bias', float32(4)));
  build.output('added', add(build, projected, build.input('given', float32(3, 5, 4))));
  const packed = embed(
    build,
    build.input('others', int32(3, 5)),
    lengths,
    build.input('otherSeconds', int32(3, 2)),
    tables,
  );
  const [draw, walls] = [build.input('draw', drawType), build.input('walls', int32(3, 1))];
  build.output('walled', attention(build, packed, packed, packed, walls, draw, { heads: 2, dropout: 0, stream: 1 }));
  const program = build.finish();
  assert.deepEqual(planPacking(program), { packings: [], packingOf: new Map() });
  const inputs = Object.fromEntries(
    Object.entries(program.inputs).map(([name, tensor], i) => {
      const { dtype, shape: extents } = program.tensors[tensor];
      return [name, dtype === 'int32' ? randomInts(sizeOf(extents), i, 3) : randomFloats(sizeOf(extents), i, 1)];
    }),
  );
  const [expected, got] = await runOn([referenceEngine, wasmEngine], program, inputs);
  for (const [name, values] of Object.entries(expected)) {
    for (const [i, value] of values.entries()) assert.ok(Math.abs(got[name][i] - value) < 1e-5, `${name}[${i}]`);
  }
});

test('outputs of any rank are unpacked, with zeros for padding', async () => {
  const build = new ProgramBuilder();
  const vector = (name: string) => build.input(name, float32(4));
  const table = (name: string, rows: number) => build.input(name, float32(rows, 4));
  const tables = { words: table('words', 9), positions: table('positions', 5), types: table('types', 2) };
  const walls = ['lengths', 'seconds'].map((name) => build.input(name, int32(3, 2)));
  const sum = embed(build, build.input('ids', int32(3, 5)), walls[0], walls[1], tables);
  const doubled = add(build, sum, scale(build, sum, 1.5));
  const [y, mean, inverse] = build.apply(layerNormOperation, [doubled, vector('gamma'), vector('beta')], {
    epsilon: 1,
  });
  for (const [name, tensor] of Object.entries({ sum, doubled, y, mean, inverse })) build.output(name, tensor);
  const program = build.finish();
  const given: Record<string, readonly number[]> = { lengths: [2, 1, 0, 0, 5, 0], seconds: [1, 1, 0, 0, 5, 0] };
  const inputs = Object.fromEntries(
    Object.entries(program.inputs).map(([name, tensor], i) => {
      const size = sizeOf(program.tensors[tensor].shape);
      if (given[name]) return [name, Int32Array.from(given[name])];
      return [name, name === 'ids' ? randomInts(size, i, 9) : randomFloats(size, i, 1)];
    }),
  );
  const [expected, got] = await runOn([referenceEngine, wasmEngine], program, inputs);
  for (const [name, values] of Object.entries(expected)) {
    const width = values.length / 15;
    for (const [i, value] of values.entries()) {
      const isReal = [3, 0, 5][Math.floor(i / width / 5)] > Math.floor(i / width) % 5;
      if (isReal) assert.ok(Math.abs(got[name][i] - value) < 1e-5, `${name}[${i}]: ${got[name][i]} for ${value}`);
      else assert.ok(Object.is(got[name][i], 0), `${name}[${i}] is padding`);
    }
  }
});

async function runOn(engines: readonly Engine[], program: Program, inputs: Inputs): Promise<Outputs[]> {
  return Promise.all(
    engines.map(async (engine) => {
      const runtime = await engine.load({ program });
      const outputs = await (await runtime.submit('program', inputs)).outputs;
      await runtime.close();
      return outputs;
    }),
  );
}

/** A runtime and all of its memory. */
async function loadWithMemory(program: Program, threads: number) {
  const allocate = WebAssembly.Memory;
  let memory: WebAssembly.Memory | undefined;
  WebAssembly.Memory = class extends allocate {
    constructor(descriptor: ConstructorParameters<typeof allocate>[0]) {
      super(descriptor);
      memory = this;
    }
  };
  const runtime = await wasmEngine.load({ train: program }, { threads }).finally(() => {
    WebAssembly.Memory = allocate;
  });
  return { runtime, memory: memory! };
}

/** All memory that programs work in: values, what is known of rows, temporaries, and the scratch of each thread. */
function workOf(memory: WebAssembly.Memory, program: Program, threads: number): Float32Array[] {
  const { variables, scratch, times } = layOut({ train: program }, threads);
  const floats = (start: number, end: number) => new Float32Array(memory.buffer, start, (end - start) / 4);
  const variablesEnd = Math.max(...[...variables.values()].map(({ address, bytes }) => address + bytes));
  return [
    floats(variablesEnd, scratch[0]),
    // Behind what a thread must remember (assembly/compute/scratch.ts).
    ...scratch.map((start, thread) => floats(start + 64, scratch[thread + 1] ?? times)),
  ];
}
