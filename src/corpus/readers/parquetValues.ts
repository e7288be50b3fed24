/**
 * How Parquet packs levels and strings: runs of small integers, and strings one by one, as places in a dictionary, or as
 * differences. Strings stay where they are in their page. Source: Encodings.md in apache/parquet-format.
 */
import { deltaBinaryUnpack } from 'hyparquet/src/delta.js';
import { isNull, type Rows } from './rows.js';
import { viewOf } from './tableFile.js';

/** A number of a damaged header may be missing, which would make others NaN and loops endless, or beyond all memory. */
export function checkCount(count: number | undefined, most: number): number {
  if (count !== undefined && count >= 0 && count <= most) return count;
  throw new Error(`a header with ${count} where ${most} is the most`);
}

/** Runs of one integer, and integers of `width` bits, in turn, until `output` is full. hyparquet's believes any length of a run. */
export function readHybrid(bytes: Uint8Array, width: number, output: Uint8Array | Uint32Array): void {
  let at = 0;
  for (let done = 0; done < output.length; ) {
    let header = 0;
    let shift = 0;
    let byte: number;
    do {
      byte = bytes[at++];
      header += (byte & 127) * 2 ** shift;
      shift += 7;
    } while (byte > 127);
    const left = output.length - done;
    if (header % 2 === 1) {
      const count = Math.min(4 * (header - 1), left);
      unpackBits(bytes, at, width, output, done, count);
      at += width * ((header - 1) / 2);
      done += count;
    } else {
      let value = 0;
      for (let i = 0; i < width; i += 8) value += bytes[at++] * 2 ** i;
      const count = Math.min(header / 2, left);
      output.fill(value, done, done + count);
      done += count;
    }
    // The last integers may be fewer than their group of eight.
    if (!(at <= bytes.length || done === output.length)) throw new Error('runs beyond their page');
  }
}

function unpackBits(
  bytes: Uint8Array,
  begin: number,
  width: number,
  output: Uint8Array | Uint32Array,
  first: number,
  count: number,
): void {
  const mask = 2 ** width - 1;
  for (let i = 0, bit = 8 * begin; i < count; i++, bit += width) {
    const at = Math.floor(bit / 8);
    const shift = bit % 8;
    const low = (bytes[at] | (bytes[at + 1] << 8) | (bytes[at + 2] << 16) | (bytes[at + 3] << 24)) >>> shift;
    const high = shift === 0 ? 0 : bytes[at + 4] << (32 - shift);
    output[first + i] = (low | high) & mask;
  }
}

export function countPresent(levels: Uint8Array, maxLevel: number): number {
  let count = 0;
  for (const level of levels) if (level === maxLevel) count++;
  return count;
}

/** Values to their rows, with null between them. */
export function spread(values: Rows, levels: Uint8Array, maxLevel: number): Rows {
  if (values.begins.length === levels.length) return values;
  const begins = new Uint32Array(levels.length).fill(isNull);
  const ends = new Uint32Array(levels.length);
  let value = 0;
  for (let row = 0; row < levels.length; row++) {
    if (levels[row] !== maxLevel) continue;
    begins[row] = values.begins[value];
    ends[row] = values.ends[value++];
  }
  return { bytes: values.bytes, begins, ends };
}

export function readValues(bytes: Uint8Array, encoding: string, count: number, dictionary: Rows | undefined): Rows {
  if (count === 0) return { bytes, begins: new Uint32Array(0), ends: new Uint32Array(0) };
  switch (encoding) {
    case 'PLAIN':
      return readPlain(bytes, count);
    case 'PLAIN_DICTIONARY':
    case 'RLE_DICTIONARY':
      return lookUp(bytes, count, dictionary);
    case 'DELTA_LENGTH_BYTE_ARRAY':
      return readDeltaLengths(bytes, count);
    case 'DELTA_BYTE_ARRAY':
      return readDeltas(bytes, count);
    default:
      throw new Error(`strings encoded as ${encoding}`);
  }
}

/** Each value after its length in four bytes. */
export function readPlain(bytes: Uint8Array, told: number | undefined): Rows {
  const count = checkCount(told, bytes.length >> 2);
  const lengths = viewOf(bytes);
  const [begins, ends] = [new Uint32Array(count), new Uint32Array(count)];
  let at = 0;
  for (let i = 0; i < count; i++) {
    begins[i] = at + 4;
    at += 4 + lengths.getUint32(at, true);
    ends[i] = at;
  }
  if (at > bytes.length) throw new Error('values beyond their page');
  return { bytes, begins, ends };
}

function lookUp(bytes: Uint8Array, count: number, dictionary: Rows | undefined): Rows {
  if (dictionary === undefined) throw new Error('a page without its dictionary');
  const places = new Uint32Array(count);
  // With one value in the dictionary a place takes no bits.
  if (bytes[0] > 0) readHybrid(bytes.subarray(1), bytes[0], places);
  const size = dictionary.begins.length;
  const [begins, ends] = [new Uint32Array(count), new Uint32Array(count)];
  for (let i = 0; i < count; i++) {
    if (places[i] >= size) throw new Error(`value ${places[i]} of a dictionary of ${size}`);
    begins[i] = dictionary.begins[places[i]];
    ends[i] = dictionary.ends[places[i]];
  }
  return { bytes: dictionary.bytes, begins, ends };
}

/** All lengths, then all values. */
function readDeltaLengths(bytes: Uint8Array, count: number): Rows {
  const reader = { view: viewOf(bytes), offset: 0 };
  const lengths = new Int32Array(count);
  deltaBinaryUnpack(reader, count, lengths);
  return follow(bytes, reader.offset, lengths);
}

/** Values of these lengths, one after the other. */
function follow(bytes: Uint8Array, begin: number, lengths: Int32Array): Rows {
  const [begins, ends] = [new Uint32Array(lengths.length), new Uint32Array(lengths.length)];
  let at = begin;
  for (let i = 0; i < lengths.length; i++) {
    begins[i] = at;
    at += lengths[i];
    ends[i] = at;
    if (lengths[i] < 0 || at > bytes.length) throw new Error('values beyond their page');
  }
  return { bytes, begins, ends };
}

/** How much of the value before each begins with, then the rest of each as above. */
function readDeltas(bytes: Uint8Array, count: number): Rows {
  const reader = { view: viewOf(bytes), offset: 0 };
  const prefixes = new Int32Array(count);
  deltaBinaryUnpack(reader, count, prefixes);
  const lengths = new Int32Array(count);
  deltaBinaryUnpack(reader, count, lengths);
  const suffixes = follow(bytes, reader.offset, lengths);
  for (let i = 0; i < count; i++) {
    if (prefixes[i] < 0 || prefixes[i] > (i === 0 ? 0 : lengths[i - 1]))
      throw new Error('a prefix longer than the value before');
    lengths[i] += prefixes[i];
  }
  const whole = new Uint8Array(lengths.reduce((sum, length) => sum + length, 0));
  const values = follow(whole, 0, lengths);
  for (let i = 0; i < count; i++) {
    const begin = values.begins[i];
    if (i > 0) whole.copyWithin(begin, values.begins[i - 1], values.begins[i - 1] + prefixes[i]);
    whole.set(bytes.subarray(suffixes.begins[i], suffixes.ends[i]), begin + prefixes[i]);
  }
  return values;
}
