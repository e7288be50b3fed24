/**
 * Exact area under the ROC curve: the share of (positive, negative) pairs that the scores put in order, ties counting
 * half. By rank sums, O(n log n). NaN when one of the two classes is empty.
 */
export function areaUnderCurve(scores: ArrayLike<number>, labels: ArrayLike<number>): number {
  const order = Uint32Array.from({ length: scores.length }, (_, i) => i).sort((a, b) => scores[a] - scores[b]);
  let positives = 0;
  let rankSum = 0;
  for (let start = 0; start < order.length; ) {
    let end = start;
    let tiedPositives = 0;
    while (end < order.length && scores[order[end]] === scores[order[start]]) tiedPositives += labels[order[end++]];
    // Ranks start + 1 … end are shared by all that are tied.
    rankSum += tiedPositives * ((start + 1 + end) / 2);
    positives += tiedPositives;
    start = end;
  }
  const negatives = scores.length - positives;
  return (rankSum - (positives * (positives + 1)) / 2) / (positives * negatives);
}
