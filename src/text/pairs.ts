/**
 * One text or two in the frame that BERT reads, [CLS] A [SEP] or [CLS] A [SEP] B [SEP], and what is left of each where a
 * length is given. Source of the truncation: tokenizers 0.23.2, utils/truncation.rs.
 */
import { GalvaniError } from '../errors.js';

/**
 * `longest_first`: the longer one gives way until both are equal, then both. An odd place goes to the longer one, or to the
 * second where they are equal.
 */
export type Truncation = (typeof truncations)[number];
const truncations = ['longest_first', 'only_first', 'only_second'] as const;

/** `[edge, ...first, divider]`, and behind it `[...second, divider]` where there is a second. */
export function frame(first: Uint32Array, second: Uint32Array | undefined, edge: number, divider: number): Uint32Array {
  const framed = new Uint32Array(first.length + 2 + (second === undefined ? 0 : second.length + 1));
  framed[0] = edge;
  framed.set(first, 1);
  framed[first.length + 1] = divider;
  if (second !== undefined) {
    framed.set(second, first.length + 2);
    framed[framed.length - 1] = divider;
  }
  return framed;
}

/**
 * @param room tokens that both may have together, special tokens not among them as they are in `maxLength`.
 * @throws wrongUse where the one that is to give way is too short for it.
 */
export function truncatedLengths(
  first: number,
  second: number,
  room: number,
  maxLength: number,
  truncation: Truncation,
): [first: number, second: number] {
  const excess = first + second - room;
  if (!truncations.includes(truncation)) throw unknownTruncation(truncation);
  if (excess <= 0) return [first, second];
  if (room === 0) return [0, 0];
  if (truncation !== 'longest_first') {
    const lengths: [number, number] = [first, second];
    const cut = truncation === 'only_first' ? 0 : 1;
    if (lengths[cut] <= excess) throw tooShort(truncation, lengths[cut], excess);
    lengths[cut] -= excess;
    return lengths;
  }
  const shorter = Math.min(first, second);
  const longer = room - shorter;
  if (longer >= shorter) return first <= second ? [shorter, longer] : [longer, shorter];
  const half = Math.floor(room / 2);
  // Each was cut by itself before: two that are as long as maxLength count as equal.
  return first <= second || shorter >= maxLength ? [half, room - half] : [room - half, half];
}

/** What `maxLength` leaves for texts beside `special` tokens. @throws wrongUse */
export function roomIn(maxLength: number, special: number): number {
  if (Number.isInteger(maxLength) && maxLength >= special) return maxLength - special;
  throw new GalvaniError({
    stage: 'encode',
    expected: `a whole number of at least ${special} for maxLength (special tokens are counted)`,
    got: String(maxLength),
    remedy: 'Give a larger maxLength, or leave it out.',
    kind: 'wrongUse',
  });
}

function unknownTruncation(truncation: string): GalvaniError {
  return new GalvaniError({
    stage: 'encode',
    expected: `a truncation (${truncations.join(', ')})`,
    got: `"${truncation}"`,
    remedy: 'Choose one of them.',
    kind: 'wrongUse',
  });
}

function tooShort(truncation: Truncation, length: number, excess: number): GalvaniError {
  return new GalvaniError({
    stage: 'encode',
    expected: `more than ${excess} tokens to cut from (truncation ${truncation})`,
    got: String(length),
    remedy: 'Give a larger maxLength, or truncate the longest first.',
    kind: 'wrongUse',
  });
}
