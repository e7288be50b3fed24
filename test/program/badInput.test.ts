/** What is wrong with a program or with what it is called with is said with stage, expectation, value and place. */
import assert from 'node:assert/strict';
import { describe, test } from 'node:test';
import { referenceEngine } from '../../src/engines/reference/reference.js';
import { wasmEngine } from '../../src/engines/wasm/wasm.js';
import { GalvaniError } from '../../src/errors.js';
import { concatenate } from '../../src/ops/concatenate.js';
import { embed } from '../../src/ops/embed.js';
import { firstToken } from '../../src/ops/firstToken.js';
import { linear } from '../../src/ops/linear.js';
import { meanSquaredError } from '../../src/ops/meanSquaredError.js';
import { float32, int32, type Tensor } from '../../src/ops/operation.js';
import { softmaxCrossEntropy } from '../../src/ops/softmaxCrossEntropy.js';
import { ProgramBuilder } from '../../src/program/builder.js';

/** The four parts of a message, each as what it must match. */
function says(error: unknown, [stage, expected, got, where]: readonly RegExp[]): boolean {
  assert.ok(error instanceof GalvaniError, String(error));
  assert.match(error.parts.stage, stage);
  assert.match(error.parts.expected, expected);
  assert.match(error.parts.got, got);
  assert.match(error.parts.where ?? '', where);
  assert.match(error.message, /^\w+: expected .+, got .+ \(.+\)\. .+[.?]$/);
  return true;
}

describe('shapes that do not fit are told where the program is built', () => {
  const build = () => {
    const build = new ProgramBuilder();
    const ints = (name: string, ...shape: number[]) => build.input(name, int32(...shape));
    const floats = (name: string, ...shape: number[]) => build.input(name, float32(...shape));
    return { build, ints, floats };
  };
  type Builder = ReturnType<typeof build>;
  const mistakes: Record<string, [(b: Builder) => Tensor, RegExp, RegExp]> = {
    'a weight of another width': [
      ({ build, floats }) => linear(build, floats('x', 2, 5), floats('w', 3, 4)),
      /weight of linear to be float32\[-1, 5\]/,
      /float32\[3, 4\]/,
    ],
    'numbers for ids': [
      ({ build, ints, floats }) =>
        embed(build, floats('ids', 2, 3), ints('l', 2, 1), ints('s', 2, 1), {
          words: floats('w', 7, 4),
          positions: floats('p', 3, 4),
          types: floats('t', 2, 4),
        }),
      /ids of embed to be int32\[-1, -1\]/,
      /float32\[2, 3\]/,
    ],
    'fewer positions than places': [
      ({ build, ints, floats }) =>
        embed(build, ints('ids', 2, 3), ints('l', 2, 1), ints('s', 2, 1), {
          words: floats('w', 7, 4),
          positions: floats('p', 2, 4),
          types: floats('t', 2, 4),
        }),
      /positions of embed to be float32\[3, 4\]/,
      /float32\[2, 4\]/,
    ],
    'a label too many': [
      ({ build, ints, floats }) =>
        softmaxCrossEntropy(build, floats('x', 4, 3), { labels: ints('y', 5), denominator: floats('d') }),
      /labels of softmaxCrossEntropy to be int32\[4\]/,
      /int32\[5\]/,
    ],
    'two logits a place': [
      ({ build, ints, floats }) =>
        softmaxCrossEntropy(build, floats('x', 4, 3, 2), { labels: ints('y', 4), denominator: floats('d') }),
      /logits of softmaxCrossEntropy to be float32\[-1, -1, 1\]/,
      /float32\[4, 3, 2\]/,
    ],
    'two numbers a row': [
      ({ build, floats }) => meanSquaredError(build, floats('x', 4, 2), floats('y', 4), undefined, floats('d')),
      /predictions of meanSquaredError to be float32\[4, 1\]/,
      /float32\[4, 2\]/,
    ],
    'lengths of other rows': [
      ({ build, ints, floats }) => firstToken(build, floats('x', 4, 3, 2), ints('l', 3, 1)),
      /lengths of firstToken to be int32\[4, -1\]/,
      /int32\[3, 1\]/,
    ],
    'parts of other rows': [
      ({ build, floats }) => concatenate(build, [floats('x', 4, 3), floats('y', 5, 3)]),
      /input 1 of concatenate to be float32\[4, -1\]/,
      /float32\[5, 3\]/,
    ],
    'a variable of two shapes': [
      ({ build }) => {
        build.variable('w', [2, 3], 'parameter');
        return build.variable('w', [3, 2], 'parameter');
      },
      /variable w to be parameter float32\[2, 3\] at every use/,
      /parameter float32\[3, 2\]/,
    ],
  };
  for (const [what, [make, expected, got]] of Object.entries(mistakes)) {
    test(what, () => {
      const b = build();
      assert.throws(
        () => b.build.scope('tagger', () => b.build.scope('head', () => make(b))),
        (error) => says(error, [/^program$/, expected, got, /^operation 0 of tagger\/head$/]),
      );
    });
  }
});

/** words [ids], summed up by a layer; the variable is `words`, (pieces, 2). */
function lookUp(pieces: number) {
  const build = new ProgramBuilder();
  const tables = {
    words: build.variable('words', [pieces, 2], 'parameter'),
    positions: build.variable('positions', [3, 2], 'parameter'),
    types: build.variable('types', [2, 2], 'parameter'),
  };
  const [lengths, seconds] = ['lengths', 'seconds'].map((name) => build.input(name, int32(1, 1)));
  const states = embed(build, build.input('ids', int32(1, 3)), lengths, seconds, tables);
  build.output('first', firstToken(build, states, lengths));
  const loss = softmaxCrossEntropy(build, linear(build, states, build.variable('span', [1, 2], 'parameter')), {
    labels: build.input('starts', int32(1)),
    lengths,
    denominator: build.input('denominator', float32()),
  });
  build.output('loss', loss);
  return build.finish();
}

const good = {
  ids: Int32Array.of(1, 4, 2),
  lengths: Int32Array.of(3),
  seconds: Int32Array.of(3),
  starts: Int32Array.of(1),
  denominator: Float32Array.of(1),
};

for (const engine of [referenceEngine, wasmEngine]) {
  describe(`${engine.name} refuses at its border`, () => {
    test('programs that disagree about a variable', async () => {
      await assert.rejects(engine.load({ small: lookUp(5), large: lookUp(6) }), (error) =>
        says(error, [
          /^engine$/,
          /variable words to be float32\[5, 2\] in every program/,
          /float32\[6, 2\]/,
          /program large/,
        ]),
      );
    });

    test('names that are not known, and numbers that are no addresses', async () => {
      const runtime = await engine.load({ lookUp: lookUp(5) });
      try {
        const submit = (change: object) => runtime.submit('lookUp', { ...good, ...change });
        const words = (count: number) => runtime.write(new Map([['words', new Float32Array(count)]]));
        const refusals: [Promise<unknown>, RegExp[]][] = [
          [runtime.submit('lookup', good), [/engine/, /known program/, /"lookup"/, /one of 1/]],
          [runtime.read('wrods'), [/engine/, /known variable/, /"wrods"/, /one of 4/]],
          [words(9), [/engine/, /10 values for variable words/, /9/, /float32\[5, 2\]/]],
          [submit({ id: good.ids }), [/engine/, /known input/, /"id"/, /program lookUp/]],
          [submit({ ids: new Int32Array(4) }), [/engine/, /ids to be int32\[1, 3\]/, /of 4/, /program lookUp/]],
          [submit({ ids: Int32Array.of(1, 5, 0) }), [/step/, /ids .*in \[0, 5\)/, /^5 at 1$/, /program lookUp/]],
          [submit({ ids: Int32Array.of(1, 2, -1) }), [/step/, /ids .*in \[0, 5\)/, /^-1 at 2$/, /program lookUp/]],
          [submit({ starts: Int32Array.of(3) }), [/step/, /starts .*in \[0, 3\)/, /^3 at 0$/, /program lookUp/]],
          [submit({ lengths: Int32Array.of(4) }), [/step/, /lengths .*at most 3 a row/, /^4 in row 0$/, /lookUp/]],
        ];
        for (const [refused, message] of refusals) await assert.rejects(refused, (error) => says(error, message));
        const { loss } = await (await submit({})).outputs;
        assert.ok(Math.abs(loss[0] - Math.log(3)) < 1e-4);
      } finally {
        await runtime.close();
      }
    });
  });
}
