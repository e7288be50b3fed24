/** The most likely ids of a softmax, exactly: one pass over the logits, one for their sum, all in float64. */
import { GalvaniError } from '../errors.js';

export class TopCandidates {
  private readonly best: Float64Array;

  constructor(
    private readonly vocabularySize: number,
    private readonly topK: number,
  ) {
    this.best = new Float64Array(topK);
  }

  /**
   * logits [from, from + V) → the k largest, the largest first, of equal ones the smaller id first: their ids, and natural
   * log-probabilities, to [to, to + k).
   * @throws for logits that are no finite numbers
   */
  rank(logits: ArrayLike<number>, from: number, ids: Int32Array, logProbs: Float32Array, to: number): void {
    const { best, vocabularySize, topK } = this;
    best.fill(Number.NEGATIVE_INFINITY);
    const last = topK - 1;
    for (let id = 0; id < vocabularySize; id++) {
      const logit = logits[from + id];
      if (!(logit > best[last])) continue;
      let place = last;
      for (; place > 0 && logit > best[place - 1]; place--) {
        best[place] = best[place - 1];
        ids[to + place] = ids[to + place - 1];
      }
      best[place] = logit;
      ids[to + place] = id;
    }
    let sum = 0;
    for (let id = 0; id < vocabularySize; id++) sum += Math.exp(logits[from + id] - best[0]);
    const logSumExp = best[0] + Math.log(sum);
    if (!Number.isFinite(logSumExp) || !Number.isFinite(best[last])) throw notFinite();
    for (let i = 0; i < topK; i++) logProbs[to + i] = best[i] - logSumExp;
  }
}

function notFinite(): GalvaniError {
  return new GalvaniError({
    stage: 'candidates',
    expected: 'logits of the generator that are finite numbers',
    got: 'others',
    remedy: 'Take a run whose losses are numbers.',
    kind: 'badInput',
  });
}
