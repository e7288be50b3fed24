/** Packed rows by the rules on plain lists: what src/dataset/examples/packed.ts is held against. */
import assert from 'node:assert/strict';

/** First token, counted through all documents, and tokens of a segment. */
export type Segment = [number, number];

interface Row {
  room: number;
  /** The last one placed first. */
  segments: Segment[];
  /** When its room last changed: of rows with equal room, the latest takes the next window. */
  changed: number;
}

/** @param documents  tokens of each */
export function packPlainly(documents: number[], T: number, rowsPerBlock: number, mostSegments: number): Segment[][] {
  const packed: Segment[][] = [];
  let left: Segment[] = [];
  let fresh: Segment[] = [];
  const rowsNeeded = () => {
    const waiting = [...left, ...fresh];
    const places = waiting.reduce((sum, [, tokens]) => sum + tokens + 2, 0);
    return Math.max(places / T, waiting.length / mostSegments);
  };
  const packGroup = (count: number) => {
    const rows = Array.from({ length: count }, (_, row): Row => ({ room: T, segments: [], changed: -row }));
    let changes = 0;
    const openRows = () => rows.filter(({ segments }) => segments.length < mostSegments);
    const place = (segment: Segment) => {
      const places = segment[1] + 2;
      const [row] = openRows()
        .filter(({ room }) => room >= places)
        .sort((a, b) => a.room - b.room || b.changed - a.changed);
      if (row === undefined) return false;
      row.room -= places;
      row.segments.unshift(segment);
      row.changed = ++changes;
      return true;
    };
    const longestFirst = (windows: Segment[]) => windows.toSorted((a, b) => b[1] - a[1] || a[0] - b[0]);
    const unplaced = [...longestFirst(left), ...longestFirst(fresh)].filter((window) => !place(window));
    unplaced.sort((a, b) => a[0] - b[0]);
    left = [];
    for (let [start, tokens] of unplaced) {
      while (!place([start, tokens])) {
        const hole = Math.max(0, ...openRows().map(({ room }) => room));
        const real = rows.reduce((sum, { room }) => sum + T - room, 0);
        if (hole < 3 || (hole < T / 8 && real >= 0.98 * count * T)) {
          left.push([start, tokens]);
          break;
        }
        const rest = Math.min(Math.floor(T / 16), Math.floor(tokens / 2));
        const head = Math.min(hole - 2, tokens - rest);
        assert.ok(place([start, head]));
        start += head;
        tokens -= head;
      }
    }
    fresh = [];
    packed.push(...rows.map(({ segments }) => segments));
  };
  let start = 0;
  for (const document of documents) {
    for (let rest = document; rest > 0; rest -= T - 2) {
      const tokens = Math.min(rest, T - 2);
      fresh.push([start, tokens]);
      start += tokens;
      if (rowsNeeded() >= rowsPerBlock) packGroup(rowsPerBlock);
    }
  }
  while (left.length + fresh.length > 0) packGroup(Math.min(rowsPerBlock, Math.ceil(rowsNeeded())));
  return packed;
}
