/** Lengths of documents in tokens, counted exactly: memory grows with the number of different lengths, not of documents. */

/** Documents of `from` to `to` tokens. */
export interface LengthBin {
  from: number;
  to: number;
  documents: number;
}

const shortLengths = 1 << 16;

export class LengthCounts {
  private readonly short = new Float64Array(shortLengths);
  private readonly long = new Map<number, number>();

  add(length: number): void {
    if (length < shortLengths) this.short[length]++;
    else this.long.set(length, (this.long.get(length) ?? 0) + 1);
  }

  /** The lengths there are, ascending, each with how many documents have it. */
  list(): [length: number, documents: number][] {
    const short = Array.from(this.short, (documents, length): [number, number] => [length, documents]);
    const long = [...this.long].sort(([a], [b]) => a - b);
    return [...short.filter(([, documents]) => documents > 0), ...long];
  }
}

/** The length at place `rank`, from 0, of all documents in order of their lengths; 0 where there is none. */
export function lengthAt(lengths: ReturnType<LengthCounts['list']>, rank: number): number {
  let before = 0;
  for (const [length, documents] of lengths) {
    before += documents;
    if (before > rank) return length;
  }
  return 0;
}

/** 1, 2 to 3, 4 to 7, …: from the bin of the shortest to that of the longest, empty ones between them too. */
export function binLengths(lengths: ReturnType<LengthCounts['list']>): LengthBin[] {
  const bins: LengthBin[] = [];
  for (const [length, documents] of lengths) {
    const from = 2 ** (31 - Math.clz32(length));
    for (let next = bins.length === 0 ? from : 2 * bins[bins.length - 1].from; next <= from; next *= 2) {
      bins.push({ from: next, to: 2 * next - 1, documents: 0 });
    }
    bins[bins.length - 1].documents += documents;
  }
  return bins;
}
