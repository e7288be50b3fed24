/**
 * How well an order shuffles: ours beside those of other loaders, by how far apart neighbours land.
 *
 *   node dist/bench/shuffle.js        --help lists the settings
 *
 *   apart in the epoch    |position(i) − position(i + 1)| of neighbours i, i + 1 of the corpus: what they tell about each other
 *                         should not be told in one breath
 *   apart in the corpus   |example(p) − example(p + 1)| of neighbours in the epoch: a batch should be of the whole corpus
 *
 * Medians and 10th percentiles as shares of what a full shuffle gives: (1 − √½) n and (1 − √0.9) n, of n examples, since
 * two places drawn at random are at least x apart with probability (1 − x / n)².
 *
 * Ours with the cache that a run has by default, and with four times that. The others are written here after their published algorithms:
 *   datasets     Hugging Face datasets 5.2, IterableDataset.shuffle: rows fill a buffer, which is shuffled when it is full and
 *                gives half of what it holds. In the order of one file; of several, their order is shuffled too.
 *   tf.data      Dataset.shuffle: each row that is given is a random one of the buffer, and the next one takes its place.
 *   electra      google-research's: build_pretraining_dataset.py deals examples to 1,000 files in turn; files are shuffled, four
 *                read in turn, and their examples go through tf.data's buffer of 100.
 *   py1e         MosaicML streaming 0.13: shards in random order, each shuffled, then every place shifted by at most half of
 *                what a block (drawn from 0.75 to 1.25 of its size) exceeds the shard. Shards of 64 MiB, its writer's default;
 *                blocks of 2¹⁸, its function's default, and of 4,000,000, what a dataset on one node takes.
 * The first was held against its library draw by draw; of the last the library's own function says, of 10 M examples, 2.57,
 * 2.59, 2.63, 2.62 % in the order of the columns, and 32.7, 31.9, 94.5, 56.0 % with the large block (the last two waver, since
 * 40 shards are few).
 */
import { Command } from 'commander';
import { parseCount } from '../src/cli/options.js';
import { examplesPerBlock } from '../src/dataset/examples/blocks.js';
import { ShuffledOrder } from '../src/dataset/order.js';
import { drawWords, keyOfSeed } from '../src/random/philox.js';
import { formatTable } from '../src/report/table.js';

interface Settings {
  readonly examples: number;
  readonly sequenceLength: number;
  readonly batchSize: number;
  readonly json?: boolean;
}

interface Quality {
  readonly name: string;
  /** Median and 10th percentile, as shares of a full shuffle's. */
  readonly epochMedian: number;
  readonly epochTenth: number;
  readonly corpusMedian: number;
  readonly corpusTenth: number;
  /** Share of the corpus's neighbours that are in the same batch. */
  readonly sameBatch: number;
}

/** Numbers in [0, bound), one behind the other. */
class Draws {
  readonly #words = new Uint32Array(1 << 12);
  #at = this.#words.length;
  #step = 0;

  below(bound: number): number {
    if (this.#at === this.#words.length) {
      drawWords(this.#words, keyOfSeed(1), 0, this.#step++);
      this.#at = 0;
    }
    return Math.floor((this.#words[this.#at++] * bound) / 2 ** 32);
  }

  shuffle(values: Int32Array): Int32Array {
    for (let i = values.length - 1; i > 0; i--) {
      const other = this.below(i + 1);
      [values[i], values[other]] = [values[other], values[i]];
    }
    return values;
  }
}

/** Each gives the epoch: (n) which example stands at each position. */
const fullShuffle = (n: number): Int32Array => new Draws().shuffle(countUp(n));

function ours(n: number, { sequenceLength }: Settings, cacheBytes: number): Int32Array {
  const blockExamples = examplesPerBlock(sequenceLength);
  // An example is its ids, 2 bytes each, and in the block's index 12 bytes. The cache holds two windows.
  const windowBlocks = Math.floor(cacheBytes / (blockExamples * (2 * (sequenceLength - 2) + 12)) / 2);
  const order = new ShuffledOrder(n, blockExamples, windowBlocks, keyOfSeed(1));
  return countUp(n).map((position) => order.at(position));
}

function datasetsBuffer(n: number, size: number): Int32Array {
  const draws = new Draws();
  const epoch = new Int32Array(n);
  const buffer = new Int32Array(size);
  let held = 0;
  let given = 0;
  for (let example = 0; example < n; example++) {
    buffer[held++] = example;
    if (held < size) continue;
    draws.shuffle(buffer);
    const kept = size >> 1;
    epoch.set(buffer.subarray(0, size - kept), given);
    given += size - kept;
    buffer.copyWithin(0, size - kept);
    held = kept;
  }
  epoch.set(draws.shuffle(buffer.slice(0, held)), given);
  return epoch;
}

function tfDataBuffer(input: Int32Array, size: number): Int32Array {
  const draws = new Draws();
  const buffer = input.slice(0, size);
  const epoch = new Int32Array(input.length);
  let held = buffer.length;
  for (let position = 0; position < input.length; position++) {
    const chosen = draws.below(held);
    epoch[position] = buffer[chosen];
    const next = position + size;
    buffer[chosen] = next < input.length ? input[next] : buffer[--held];
  }
  return epoch;
}

function electraFiles(n: number): Int32Array {
  const files = 1000;
  const atOnce = 4;
  const waiting = Array.from(new Draws().shuffle(countUp(files)));
  /** The next example of each file that is being read. */
  const open = waiting.splice(0, atOnce);
  const read = new Int32Array(n);
  let given = 0;
  for (let turn = 0; given < n; turn = (turn + 1) % atOnce) {
    while (open[turn] >= n && waiting.length > 0) open[turn] = waiting.shift()!;
    if (open[turn] >= n) continue;
    read[given++] = open[turn];
    open[turn] += files;
  }
  return tfDataBuffer(read, 100);
}

function py1e(n: number, block: number, sequenceLength: number): Int32Array {
  const draws = new Draws();
  // A sample is its ids, 2 bytes each, and where it ends, 4 bytes.
  const shard = Math.floor(2 ** 26 / (2 * sequenceLength + 4));
  const samples = new Int32Array(n);
  /** The place of each, shifted, in whole places: how two of one place are told apart does not matter here. */
  const places = new Int32Array(n);
  let at = 0;
  for (const number of draws.shuffle(countUp(Math.ceil(n / shard)))) {
    const size = Math.min(shard, n - number * shard);
    samples.set(
      draws.shuffle(countUp(size)).map((i) => number * shard + i),
      at,
    );
    const widest = Math.floor(0.75 * block) + draws.below(Math.floor(0.5 * block));
    const shift = Math.max(0, (widest - size) / 2);
    const lowest = Math.max(-shift, -at);
    const highest = Math.min(shift, n - at - size);
    for (let i = 0; i < size; i++) places[at + i] = at + i + Math.floor(lowest) + draws.below(highest - lowest + 1);
    at += size;
  }
  const epoch = new Int32Array(n);
  const ends = new Int32Array(n + 1);
  for (const place of places) ends[Math.min(place, n - 1) + 1]++;
  for (let place = 0; place < n; place++) ends[place + 1] += ends[place];
  for (let i = 0; i < n; i++) epoch[ends[Math.min(places[i], n - 1)]++] = samples[i];
  return epoch;
}

function countUp(n: number): Int32Array {
  return Int32Array.from({ length: n }, (_, i) => i);
}

function judge(name: string, epoch: Int32Array, batchSize: number): Quality {
  const n = epoch.length;
  const positions = new Int32Array(n).fill(-1);
  for (let position = 0; position < n; position++) positions[epoch[position]] = position;
  if (positions.includes(-1)) throw new Error(`${name} does not give every example once`);
  let sameBatch = 0;
  for (let i = 0; i + 1 < n; i++) {
    if (Math.floor(positions[i] / batchSize) === Math.floor(positions[i + 1] / batchSize)) sameBatch++;
  }
  const [epochMedian, epochTenth] = sharesApart(positions);
  const [corpusMedian, corpusTenth] = sharesApart(epoch);
  return { name, epochMedian, epochTenth, corpusMedian, corpusTenth, sameBatch: sameBatch / (n - 1) };
}

/** Median and 10th percentile of the distance between neighbours, as shares of a full shuffle's. */
function sharesApart(values: Int32Array): [median: number, tenth: number] {
  const n = values.length;
  const distances = values
    .subarray(1)
    .map((value, i) => Math.abs(value - values[i]))
    .sort();
  const share = (quantile: number) =>
    distances[Math.floor(quantile * distances.length)] / ((1 - Math.sqrt(1 - quantile)) * n);
  return [share(0.5), share(0.1)];
}

function main(settings: Settings): void {
  const { examples: n, sequenceLength, batchSize, json } = settings;
  const orders: [string, () => Int32Array][] = [
    ['full shuffle', () => fullShuffle(n)],
    ['galvani, cache of 256 MiB', () => ours(n, settings, 2 ** 28)],
    ['galvani, cache of 1 GiB', () => ours(n, settings, 2 ** 30)],
    ['datasets, buffer of 1,000', () => datasetsBuffer(n, 1000)],
    ['tf.data, buffer of 100', () => tfDataBuffer(countUp(n), 100)],
    ['electra, 1,000 files', () => electraFiles(n)],
    ['py1e, block of 2¹⁸', () => py1e(n, 2 ** 18, sequenceLength)],
    ['py1e, block of 4 M', () => py1e(n, 4e6, sequenceLength)],
  ];
  const qualities = orders.map(([name, make]) => judge(name, make(), batchSize));
  if (json) {
    process.stdout.write(`${JSON.stringify({ settings, qualities })}\n`);
    return;
  }
  const percent = (share: number) => (100 * share).toPrecision(3);
  const rows = qualities.map((quality) => [
    quality.name,
    percent(quality.epochMedian),
    percent(quality.epochTenth),
    percent(quality.corpusMedian),
    percent(quality.corpusTenth),
    percent(quality.sameBatch),
  ]);
  const heads = ['', 'epoch: median %', '10th %', 'corpus: median %', '10th %', `in a batch of ${batchSize} %`];
  process.stdout.write(`${n} examples of T ${sequenceLength}; % of a full shuffle\n${formatTable([heads, ...rows])}`);
}

new Command('shuffle')
  .description('How far apart neighbours land: our order beside those of other loaders.')
  .option('--examples <n>', 'of the corpus', parseCount, 10e6)
  .option('--sequence-length <t>', 'places of a row', parseCount, 128)
  .option('--batch-size <b>', 'rows of a batch', parseCount, 128)
  .option('--json', 'print one JSON object')
  .action(main)
  .parse();
