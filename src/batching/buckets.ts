/** Widths of batches that are trimmed to their longest row: at most eight, so that few programs are needed. */

/** Every width is a multiple of this, or T. */
export function bucketStep(sequenceLength: number): number {
  return Math.ceil(sequenceLength / 8);
}

/** Ascending; the last one is T. */
export function bucketWidths(sequenceLength: number): number[] {
  const step = bucketStep(sequenceLength);
  const count = Math.ceil(sequenceLength / step);
  return Array.from({ length: count }, (_, i) => Math.min((i + 1) * step, sequenceLength));
}
