/** The middle of some measurements (the upper one of two): what a timing is quoted by. Not for an empty list. */
export function median(values: readonly number[]): number {
  return [...values].sort((a, b) => a - b)[values.length >> 1];
}
