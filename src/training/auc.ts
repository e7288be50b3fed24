/**
 * Exact area under the ROC curve: the share of (positive, negative) pairs that the scores put in order, ties counting
 * half. One sort, then linear passes: resampling sorts nothing again. NaN when one of the two classes is empty.
 */
export class RankedScores {
  readonly #order: Uint32Array;

  constructor(
    readonly scores: Float64Array,
    readonly labels: Uint8Array,
  ) {
    this.#order = Uint32Array.from(scores.keys()).sort((a, b) => scores[a] - scores[b]);
  }

  /** weightOf: how often element i counts. Default: once. */
  area(weightOf: (i: number) => number = () => 1): number {
    const { scores, labels } = this;
    const order = this.#order;
    let positives = 0;
    let negatives = 0;
    let orderedPairs = 0;
    for (let start = 0; start < order.length; ) {
      let tiedPositives = 0;
      let tiedNegatives = 0;
      let end = start;
      for (; end < order.length && scores[order[end]] === scores[order[start]]; end++) {
        const weight = weightOf(order[end]);
        if (labels[order[end]] === 1) tiedPositives += weight;
        else tiedNegatives += weight;
      }
      orderedPairs += tiedPositives * (negatives + tiedNegatives / 2);
      positives += tiedPositives;
      negatives += tiedNegatives;
      start = end;
    }
    return orderedPairs / (positives * negatives);
  }
}

export function areaUnderCurve(scores: Float64Array, labels: Uint8Array): number {
  return new RankedScores(scores, labels).area();
}
