/**
 * Which dataset each row of all batches, counted through, is from; found in O(datasets) for any row. Each dataset is gone
 * through in its own order, so a row also has a number among its dataset's.
 */
import { GalvaniError } from '../errors.js';

/** Weights are whole numbers of this many parts, so that all of it is exact: the product of two is below 2⁵³. */
const parts = 2 ** 26;

export interface RowSources {
  /** Of the row that `find` was asked for last. */
  readonly dataset: number;
  /** Its number among the rows of that dataset. */
  readonly own: number;
  find(row: number): void;
  /** How many of the first `rows` rows are from a dataset. */
  countBefore(dataset: number, rows: number): number;
}

/**
 * By weight, as evenly as whole rows allow: the first of D datasets has ⌊p · w / W⌋ of the first p rows (w its weight, W
 * the sum of all), and what is left is shared out to the others by the same rule. So among any rows in a line a dataset
 * has its share, to within D rows.
 */
export class Mixture implements RowSources {
  dataset = 0;
  own = 0;
  private readonly weights: number[];
  /** Sum of the weights from each dataset on. */
  private readonly sums: number[];

  /** @throws wrongUse for weights that are not positive, or too small beside the others. */
  constructor(weights: readonly number[]) {
    for (const weight of weights) {
      if (!(weight > 0 && weight < Number.POSITIVE_INFINITY)) throw wrongWeight('a number above 0', weight);
    }
    const total = weights.reduce((sum, weight) => sum + weight, 0);
    this.weights = weights.map((weight) => Math.round((weight / total) * parts));
    const least = this.weights.indexOf(0);
    if (least >= 0)
      throw wrongWeight(`at least a hundred-millionth of all weights together (${total})`, weights[least]);
    this.sums = this.weights.map((_, i) => this.weights.slice(i).reduce((sum, weight) => sum + weight, 0));
  }

  find(row: number): void {
    let rest = row;
    for (let i = 0; i < this.weights.length - 1; i++) {
      const before = this.share(i, rest);
      if (this.share(i, rest + 1) > before) {
        this.dataset = i;
        this.own = before;
        return;
      }
      rest -= before;
    }
    this.dataset = this.weights.length - 1;
    this.own = rest;
  }

  countBefore(dataset: number, rows: number): number {
    let rest = rows;
    for (let i = 0; i < dataset; i++) rest -= this.share(i, rest);
    return dataset === this.weights.length - 1 ? rest : this.share(dataset, rest);
  }

  /** Of `rows` rows that are not from an earlier dataset. Split, so that no product is beyond 2⁵³. */
  private share(dataset: number, rows: number): number {
    const [weight, sum] = [this.weights[dataset], this.sums[dataset]];
    const whole = Math.floor(rows / sum);
    return whole * weight + Math.floor(((rows - whole * sum) * weight) / sum);
  }
}

/** One dataset after the other, each once. */
export class Succession implements RowSources {
  dataset = 0;
  own = 0;
  /** First row of each. */
  private readonly firsts: number[];

  constructor(private readonly examples: readonly number[]) {
    this.firsts = examples.map((_, i) => examples.slice(0, i).reduce((sum, count) => sum + count, 0));
  }

  /** Behind the last row, `own` is beyond the examples of the last dataset. */
  find(row: number): void {
    this.dataset = this.firsts.findLastIndex((first) => first <= row);
    this.own = row - this.firsts[this.dataset];
  }

  countBefore(dataset: number, rows: number): number {
    return Math.min(Math.max(rows - this.firsts[dataset], 0), this.examples[dataset]);
  }
}

function wrongWeight(expected: string, got: number): GalvaniError {
  return new GalvaniError({
    stage: 'batch',
    expected,
    got: String(got),
    where: 'weight of a dataset',
    remedy: 'Change the weight, or leave the dataset out.',
    kind: 'wrongUse',
  });
}
