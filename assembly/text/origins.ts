/**
 * Where normalised characters came from, in UTF-16 units of the text: [from, to), kept as from | to << 32. A piece is given
 * the smallest range that holds all characters it was made of, so lower-casing and decomposition may change lengths, and
 * characters that vanish belong to a piece only when they stand inside it.
 *
 * Nothing is traced unless asked for: normalize.ts tests one flag a character.
 * Differs: tokenizers 0.23.2 gives marks that canonical ordering moved the places of those whose place they took.
 */
import { pieceBytes, wordBytes, wordOrigins } from './state';

export let traces: bool = false;

/** UTF-16 units before the next character. */
let unit: u32 = 0;
let origin: u64 = 0;

let spanFrom: u32 = u32.MAX_VALUE;
let spanTo: u32 = 0;

/** From each id to its start and to its end, bytes. */
let toStarts: usize = 0;
let toEnds: usize = 0;

export function startTracing(starts: usize, ends: usize, firstUnit: u32): void {
  traces = true;
  toStarts = starts;
  toEnds = ends;
  unit = firstUnit;
}

export function stopTracing(): void {
  traces = false;
}

export function getUnit(): u32 {
  return unit;
}

/** The next character, whose UTF-8 takes `length` bytes; what is made of it has its place. */
@inline
export function enterCharacter(length: usize): void {
  const from = unit;
  unit += length < 4 ? 1 : 2;
  origin = <u64>from | (<u64>unit << 32);
}

/** ASCII that yields nothing. */
@inline
export function skipAscii(bytes: u32): void {
  unit += bytes;
}

/** Starts and ends of the ids at [ids, stop), which an ASCII word of `bytes` bytes yields by itself. */
export function writeAsciiSpans(ids: usize, stop: usize, bytes: u32): void {
  const end = unit + bytes;
  const last = stop - 4;
  for (let dst = ids; dst < last; dst += 4) {
    store<u32>(dst + toStarts, unit);
    unit += load<u16>(pieceBytes + (<usize>load<u32>(dst) << 1));
    store<u32>(dst + toEnds, unit);
  }
  // The last piece has the rest: all of the word, where it is [UNK].
  store<u32>(last + toStarts, unit);
  store<u32>(last + toEnds, end);
  unit = end;
}

@inline
export function originOf(): u64 {
  return origin;
}

/** A character of the word begins at byte `at` of its normalised form. */
@inline
export function recordOrigin(at: usize, from: u64): void {
  store<u64>(wordOrigins + (at << 3), from);
  widenSpan(from);
}

/** The word has this character too, wherever it will stand. */
@inline
export function widenSpan(from: u64): void {
  spanFrom = min(spanFrom, <u32>from);
  spanTo = max(spanTo, <u32>(from >> 32));
}

/** Starts and ends of the word's ids at [ids, stop). One id, [UNK] or not, has the whole word; several share it by their bytes. */
export function writeSpans(ids: usize, stop: usize): void {
  const wordFrom = spanFrom;
  const wordTo = spanTo;
  let at: usize = 0;
  for (let dst = ids; dst < stop; dst += 4) {
    if (stop - ids > 4) {
      clearSpan();
      const end = at + load<u16>(pieceBytes + (<usize>load<u32>(dst) << 1));
      for (; at < end; at++) {
        if ((load<u8>(wordBytes + at) & 0xc0) != 0x80) widenSpan(load<u64>(wordOrigins + (at << 3)));
      }
      store<u32>(dst + toStarts, spanFrom);
      store<u32>(dst + toEnds, spanTo);
    } else {
      store<u32>(dst + toStarts, wordFrom);
      store<u32>(dst + toEnds, wordTo);
    }
  }
  clearSpan();
}

function clearSpan(): void {
  spanFrom = u32.MAX_VALUE;
  spanTo = 0;
}
