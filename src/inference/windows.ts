/**
 * How a text that is longer than the model's positions is read: in windows of as many tokens as the model takes, each
 * half a window after the one before, the last one ending with the text.
 *
 * A token's value comes from the window in which it stands farthest from an edge (the earlier of two equal ones), so
 * that it is judged with at least a quarter of a window on each side. A text framed by [CLS] and [SEP] keeps its frame
 * around every window, since the model never saw text without it.
 */

export interface Window {
  /** Places of the text that the window reads, in order. */
  readonly places: readonly number[];
  /** Index in `places` of the first place whose value counts, and behind the last. */
  readonly ownFrom: number;
  readonly ownTo: number;
}

/** @param limit most places of a window, at least 3. */
export function windowsOf(length: number, limit: number, isFramed: boolean): Window[] {
  if (length <= limit) return [{ places: range(0, length), ownFrom: 0, ownTo: length }];
  const edge = isFramed ? 1 : 0;
  const size = limit - 2 * edge;
  const starts = startsOf(length - 2 * edge, size).map((start) => start + edge);
  return starts.map((start, i) => {
    const isFirst = i === 0;
    const isLast = i === starts.length - 1;
    const places = [...range(0, edge), ...range(start, start + size), ...range(length - edge, length)];
    return {
      places,
      ownFrom: isFirst ? 0 : borderOf(starts[i - 1], start, size) - start + edge,
      ownTo: isLast ? places.length : borderOf(start, starts[i + 1], size) - start + edge,
    };
  });
}

function startsOf(length: number, size: number): number[] {
  const stride = Math.max(1, Math.floor(size / 2));
  const last = length - size;
  return [...Array.from({ length: Math.ceil(last / stride) }, (_, i) => i * stride), last];
}

/** First place that stands farther from the edges of the later of two windows. */
function borderOf(earlier: number, later: number, size: number): number {
  return Math.floor((earlier + size - 1 + later) / 2) + 1;
}

function range(from: number, to: number): number[] {
  return Array.from({ length: to - from }, (_, i) => from + i);
}
