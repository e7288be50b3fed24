import assert from 'node:assert/strict';
import { spawnSync } from 'node:child_process';
import { test } from 'node:test';
import { type Document, type Opening, openings } from '../../src/dataset/examples/cutter.js';
import { OfficialCutter } from '../../src/dataset/examples/official.js';
import { GalvaniError } from '../../src/errors.js';
import { needPython } from '../python.js';
import { randomFloats, randomInts } from '../random.js';
import { cutPlainly, drawsOf, type Example } from './officialTwin.js';

/** Keeps examples whole, and checks what a sink may count on. */
class Listing {
  readonly examples: Example[] = [];
  pieces = 0;
  #parts: number[][] = [];
  piece(_shard: number, start: number, tokens: number, opening: Opening): void {
    assert.ok(tokens > 0);
    if (opening === openings.none) assert.notEqual(this.#parts.at(-1)?.at(-1), start - 1, 'neighbours are one piece');
    else {
      assert.equal(opening, this.#parts.length === 0 ? openings.segment : openings.second);
      this.#parts.push([]);
    }
    for (let i = 0; i < tokens; i++) this.#parts[this.#parts.length - 1].push(start + i);
    this.pieces++;
  }
  end(): void {
    assert.ok(this.#parts.length === 1 || this.#parts.length === 2);
    this.examples.push([this.#parts[0], this.#parts[1] ?? []]);
    this.#parts = [];
  }
}

function documentOf(lines: number[], ordinal: number, start = 0): Document {
  const lineEnds = Uint32Array.from(lines);
  for (let line = 1; line < lines.length; line++) lineEnds[line] += lineEnds[line - 1];
  return { shard: 0, start, tokens: lineEnds[lines.length - 1], ordinal, lineEnds };
}

function cut(lines: number[], ordinal: number, T: number, overflow: 'carried' | 'discarded', start = 0): Example[] {
  const sink = new Listing();
  const cutter = new OfficialCutter(sink, T, overflow);
  cutter.add(documentOf(lines, ordinal, start));
  cutter.finish();
  return sink.examples;
}

/** Lines of a document, mean about `mean` tokens: mostly near it, some empty, some many times as long. */
function randomLines(seed: number, mean: number): number[] {
  const [count, ...kinds] = randomInts(40, seed, 40);
  const lengths = Array.from(randomInts(count + 1, seed + 1_000_000, 2 * mean + 1));
  return lengths.map((length, line) => (kinds[line % 39] === 0 ? 9 * length : kinds[line % 39] === 1 ? 0 : length));
}

const lengths = [5, 6, 7, 8, 13, 32, 128];

test('examples are those of the plain rules, carried or discarded', () => {
  let coins = 0;
  for (let seed = 0; seed < 3000; seed++) {
    const T = lengths[seed % lengths.length];
    const lines = randomLines(seed, [3, 12, 25, 60][seed % 4]);
    for (const overflow of ['carried', 'discarded'] as const) {
      const examples = cut(lines, seed, T, overflow);
      assert.deepEqual(examples, cutPlainly(lines, seed, T, overflow), `document ${seed}, ${overflow}`);
      coins += examples.filter(([first, second]) => second.length > 0 && first[first.length - 1] > second[0]).length;
    }
  }
  assert.ok(coins > 100, 'A gets sentences after B has begun in some of them');
});

test('discarded: the examples of the Python rules, by the same draws', { skip: needPython().skip }, () => {
  const documents = Array.from({ length: 400 }, (_, ordinal) => {
    const { random } = drawsOf(ordinal);
    const lines = randomLines(ordinal, 25);
    return { T: lengths[ordinal % lengths.length], lines, draws: Array.from({ length: 4000 }, random) };
  });
  const script = `
import json, sys

class Rules:
    """ExampleBuilder's rules; its next target is drawn at the next line, and there is one builder a document."""
    def __init__(self, T, draws):
        self.T, self.draws = T, iter(draws)
        self.sentences, self.length, self.target = [], 0, None
    def random(self):
        return next(self.draws)
    def line(self, ids):
        if self.target is None:
            short = self.random() < 0.05
            self.target = 5 + int(self.random() * (self.T - 4)) if short else self.T
        self.sentences.append(ids)
        self.length += len(ids)
        return self.example() if self.length >= self.target else None
    def example(self):
        limit = 100000 if self.random() < 0.1 else (self.target - 3) // 2
        a, b = [], []
        for s in self.sentences:
            to_a = not a or len(a) + len(s) < limit or (not b and len(a) < limit and self.random() < 0.5)
            (a if to_a else b).extend(s)
        a = a[:self.T - 2]
        b = b[:max(0, self.T - len(a) - 3)]
        self.sentences, self.length, self.target = [], 0, None
        return [a, b]

out = []
for d in json.load(sys.stdin):
    rules, at, examples = Rules(d["T"], d["draws"]), 0, []
    for n in d["lines"]:
        examples.append(rules.line(list(range(at, at + n))))
        at += n
    if rules.length:
        examples.append(rules.example())
    out.append([e for e in examples if e])
json.dump(out, sys.stdout)`;
  const { python } = needPython();
  const input = JSON.stringify(documents);
  const { stdout, stderr, status } = spawnSync(python, ['-c', script], { input, encoding: 'utf8', maxBuffer: 1e9 });
  assert.equal(status, 0, stderr);
  const expected = JSON.parse(stdout);
  for (const [ordinal, { T, lines }] of documents.entries()) {
    assert.deepEqual(cut(lines, ordinal, T, 'discarded'), expected[ordinal], `document ${ordinal}`);
  }
});

test('carried: every token of a document stands in one example, once; no example is longer than T', () => {
  for (let seed = 0; seed < 1000; seed++) {
    const T = lengths[seed % lengths.length];
    const lines = randomLines(seed + 5000, 25);
    const start = 1000 * seed;
    const examples = cut(lines, seed, T, 'carried', start);
    const tokens = examples.flat(2).sort((a, b) => a - b);
    const total = lines.reduce((sum, length) => sum + length, 0);
    assert.deepEqual(
      tokens,
      Array.from({ length: total }, (_, i) => start + i),
    );
    for (const [first, second] of examples) {
      const places = first.length + 2 + (second.length > 0 ? second.length + 1 : 0);
      assert.ok(first.length > 0 && places <= T);
    }
  }
});

test('the examples of a document do not depend on the documents before it', () => {
  const sink = new Listing();
  const cutter = new OfficialCutter(sink, 32, 'carried');
  const expected: Example[] = [];
  for (const ordinal of [3, 4, 9, 2 ** 32 - 1]) {
    const lines = randomLines(ordinal % 1000, 12);
    cutter.add(documentOf(lines, ordinal, 50_000));
    expected.push(...cut(lines, ordinal, 32, 'carried', 50_000));
  }
  assert.deepEqual(sink.examples, expected);
});

test('a document without tokens in any line gives no example; one token gives one', () => {
  assert.deepEqual(cut([0, 0, 0], 7, 16, 'carried'), []);
  assert.deepEqual(cut([], 7, 16, 'carried'), []);
  assert.deepEqual(cut([0, 1, 0], 7, 16, 'carried'), [[[0], []]]);
});

test('one example in ten has a single segment for it, one in twenty a short target, all lengths alike', () => {
  // Lines of one token gather exactly `target` tokens, and A is all of them if there is no limit.
  const T = 64;
  let examples = 0;
  let single = 0;
  const short = new Float64Array(T - 4);
  for (let ordinal = 0; ordinal < 400; ordinal++) {
    // The last example is what was left: its target is not seen.
    for (const [first, second] of cut(Array(6000).fill(1), ordinal, T, 'discarded').slice(0, -1)) {
      const gathered = first.length + second.length;
      examples++;
      // T − 2 of A alone, T − 3 of A and B, are what is left of a target of T, T − 1, T − 2 (and T − 3).
      if (gathered < T - 3) short[gathered - 5]++;
      // With a limit A has at most ⌊(target − 3) / 2⌋ tokens, and one more by the coin.
      if (second.length === 0) single++;
    }
  }
  const near = (count: number, prob: number, name: string) => {
    const spread = 3.3 * Math.sqrt(examples * prob * (1 - prob));
    assert.ok(Math.abs(count - examples * prob) < spread, `${name}: ${count} of ${examples}, expected ${prob}`);
  };
  assert.ok(examples > 35_000);
  near(single, 0.1, 'single');
  const seen = T - 3 - 5;
  const shortSeen = short.subarray(0, seen).reduce((sum, count) => sum + count, 0);
  near(shortSeen, (0.05 * seen) / (T - 4), 'short');
  const expected = shortSeen / seen;
  const chi = short.subarray(0, seen).reduce((sum, count) => sum + (count - expected) ** 2 / expected, 0);
  // Wilson and Hilferty's quantile of χ² at p = 0.001.
  const df = seen - 1;
  const bound = df * (1 - 2 / (9 * df) + 3.09 * Math.sqrt(2 / (9 * df))) ** 3;
  assert.ok(chi < bound, `χ² = ${chi}, bound ${bound}`);
});

test('a line of five million tokens is cut in one pass', () => {
  let examples = 0;
  let tokens = 0;
  let next = 0;
  const sink = {
    piece(_shard: number, start: number, length: number) {
      if (start === next) next = start + length;
      tokens += length;
    },
    end() {
      examples++;
    },
  };
  const cutter = new OfficialCutter(sink, 128, 'carried');
  cutter.add(documentOf([3, 5_000_000, 7], 1));
  assert.equal(tokens, 5_000_010);
  assert.equal(next, 5_000_010, 'in the order of the text');
  assert.ok(examples >= 5_000_010 / 126 && examples < 5_000_010 / 124);
});

/** Lognormal lengths, σ = 0.6. */
function lognormal(count: number, seed: number, mean: number): number[] {
  const uniform = randomFloats(2 * count, seed);
  return Array.from({ length: count }, (_, i) => {
    const normal = Math.sqrt(-2 * Math.log((1 - uniform[2 * i]) / 2)) * Math.cos(Math.PI * uniform[2 * i + 1]);
    return Math.max(1, Math.round(mean * Math.exp(0.6 * normal - 0.18)));
  });
}

test('discarded, T 128: 13 % of the tokens are lost in lines of 25 tokens, 26 % in lines of 60, 41 % in lines of 120', () => {
  for (const [mean, fraction] of [
    [25, 0.13],
    [60, 0.26],
    [120, 0.41],
  ]) {
    let all = 0;
    let used = 0;
    for (let ordinal = 0; ordinal < 200; ordinal++) {
      const lines = lognormal(100, ordinal, mean);
      all += lines.reduce((sum, length) => sum + length, 0);
      used += cut(lines, ordinal, 128, 'discarded').flat(2).length;
    }
    const lost = 1 - used / all;
    assert.ok(Math.abs(lost - fraction) < 0.01, `${lost} for a mean of ${mean}`);
  }
});

test('what cannot be drawn for is refused', () => {
  const sink = new Listing();
  assert.throws(
    () => new OfficialCutter(sink, 4, 'carried'),
    (error) =>
      error instanceof GalvaniError && error.kind === 'badInput' && /at least 5 places.*got 4/.test(error.message),
  );
  const cutter = new OfficialCutter(sink, 5, 'carried');
  assert.throws(() => cutter.add(documentOf([9], 2 ** 32)), /document 4294967296/);
  assert.throws(() => cutter.add({ shard: 0, start: 0, tokens: 9, ordinal: 0 }), /internal: .*lines/);
});
