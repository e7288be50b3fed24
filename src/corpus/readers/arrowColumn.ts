/**
 * The rows of a text column in an Arrow record batch, as places in its value buffers: strings with offsets of 32 or 64 bits,
 * views, and any of these in a dictionary; inside structs; with compressed buffers. Only the column's own buffers are read, and
 * values with offsets, where they are not compressed, a few MiB at a time: memory is that, the offsets, and the dictionary.
 * Source: Arrow columnar format, "Physical Memory Layout" and "Compression".
 */
import type { ArrowBatch, ArrowField } from './arrowMetadata.js';
import { unlz4Frame } from './lz4.js';
import { isNull, type Rows } from './rows.js';
import { TableFault, type TableFile, viewOf } from './tableFile.js';
import { unzstdAtOnce } from './zstd.js';

/** Values and rows that are handed on at a time. */
const valueBytes = 4 << 20;
const mostRows = 1 << 16;
/** Places in a buffer that is held as a whole are 32-bit. */
const maxBytes = 2 ** 32 - 2;

/** Where a field begins among the nodes and buffers of a batch, which are those of all fields, depth first. */
export interface FieldPlace {
  node: number;
  buffer: number;
  /** Columns of views before it: each has some buffers more. */
  views: number;
}

export interface ColumnPlace {
  /** string, large_string or string_view. */
  type: string;
  dictionary?: ArrowField['dictionary'];
  /** The structs around it, outermost first, and itself. */
  path: FieldPlace[];
  own: FieldPlace;
}

export interface PlacedBatch {
  batch: ArrowBatch;
  /** Where its buffers lie in the file. */
  bodyOffset: number;
  end: number;
}

/** A dictionary, and that whose values come before its own. */
export interface DictionaryPlace {
  batch: PlacedBatch;
  base?: DictionaryPlace;
}

const outOfBounds = 'values beyond their buffer';

export class ArrowColumn {
  /** Of the last batch: many have the same, and a stream may have many. */
  private values: { place: DictionaryPlace; rows: Rows } | undefined;

  constructor(private readonly place: ColumnPlace) {}

  /** @param dictionary what the places of the batch are places in, if the column has any. */
  *read(file: TableFile, batch: PlacedBatch, dictionary: DictionaryPlace | undefined): Generator<Rows> {
    const { place } = this;
    const body = new Body(file, batch);
    const nulls = readNulls(body, place.path);
    const { dictionary: told, own } = place;
    if (told === undefined) yield* readStrings(body, place.type, own, nulls);
    else yield* readPlaces(body, told, own, nulls, dictionary && this.readDictionary(file, dictionary));
  }

  private readDictionary(file: TableFile, place: DictionaryPlace): Rows {
    if (this.values?.place === place) return this.values.rows;
    const base = place.base === undefined ? [] : [this.readDictionary(file, place.base)];
    const body = new Body(file, place.batch);
    const own = { node: 0, buffer: 0, views: 0 };
    const rows = concatenate([...base, ...readStrings(body, this.place.type, own, readNulls(body, [own]))]);
    this.values = { place, rows };
    return rows;
  }
}

/** The buffers of a batch, read from the file when they are asked for. */
class Body {
  readonly batch: ArrowBatch;

  constructor(
    private readonly file: TableFile,
    private readonly placed: PlacedBatch,
  ) {
    this.batch = placed.batch;
  }

  /** @param after which of the field's buffers. Begins at a multiple of eight in memory. */
  read(field: FieldPlace, after: number): Uint8Array {
    const bytes = this.readStored(field, after);
    const { compression } = this.batch;
    if (compression === undefined || bytes.length === 0) return bytes;
    const length = Number(viewOf(bytes).getBigInt64(0, true));
    const packed = bytes.subarray(8);
    // What compression would not make smaller is left as it is.
    if (length === -1) return packed;
    if (!(length >= 0 && length <= maxBytes)) throw new Error(`a buffer of ${length} bytes`);
    const unpacked = compression === 'zstd' ? unzstdAtOnce(packed, length) : unlz4Frame(packed, length);
    if (unpacked.length !== length) throw new Error(`a buffer of ${unpacked.length} bytes that should have ${length}`);
    return unpacked.byteOffset % 8 === 0 ? unpacked : new Uint8Array(unpacked);
  }

  /** As it is stored, and of that all or a part. */
  readStored({ buffer, views }: FieldPlace, after: number, begin = 0, partEnd?: number): Uint8Array {
    const { buffers, viewBuffers } = this.batch;
    const { bodyOffset, end: bodyEnd } = this.placed;
    const index = buffer + viewBuffers.slice(0, views).reduce((sum, count) => sum + count, 0) + after;
    const [offset, length] = buffers.slice(2 * index, 2 * index + 2);
    const end = partEnd ?? length;
    const isInside =
      offset >= 0 && bodyOffset + offset + length <= bodyEnd && begin >= 0 && begin <= end && end <= length;
    if (!isInside) throw new Error(outOfBounds);
    return this.file.read(bodyOffset + offset + begin, end - begin);
  }
}

/** @returns for each row whether it or a struct around it is null; undefined where none is. */
function readNulls(body: Body, path: FieldPlace[]): Uint8Array | undefined {
  const { rows, nodes } = body.batch;
  let nulls: Uint8Array | undefined;
  for (const field of path) {
    const nullCount = nodes[2 * field.node + 1];
    const bits = nullCount === 0 ? undefined : body.read(field, 0);
    // Left out where nothing is null.
    if (bits === undefined || bits.length === 0) continue;
    if (8 * bits.length < rows) throw new Error(outOfBounds);
    nulls ??= new Uint8Array(rows);
    for (let row = 0; row < rows; row++) nulls[row] |= ~(bits[row >> 3] >> (row & 7)) & 1;
  }
  return nulls;
}

function readStrings(body: Body, type: string, own: FieldPlace, nulls: Uint8Array | undefined): Iterable<Rows> {
  if (body.batch.rows === 0) return [];
  return type === 'string_view' ? [readViews(body, own, nulls)] : readOffsets(body, type, own, nulls);
}

/** Values one after the other: the offsets are where they begin, and where the last one ends. */
function* readOffsets(body: Body, type: string, own: FieldPlace, nulls: Uint8Array | undefined): Generator<Rows> {
  const { rows: count, compression } = body.batch;
  const offsets = type === 'large_string' ? longs(body.read(own, 1)) : ints(body.read(own, 1));
  if (offsets.length <= count) throw new Error(`${offsets.length} offsets for ${count} values`);
  const all = compression === undefined ? undefined : body.read(own, 2);
  for (let first = 0; first < count; ) {
    const from = offsets[first];
    let last = first + 1;
    while (last < count && last - first < mostRows && offsets[last + 1] - from <= valueBytes) last++;
    const bytes = all ?? body.readStored(own, 2, from, offsets[last]);
    // A part that was read by itself begins at 0.
    const shift = all === undefined ? from : 0;
    const rows = emptyRows(bytes, last - first);
    for (let row = first; row < last; row++) {
      if (nulls?.[row]) continue;
      place(rows, row - first, offsets[row] - shift, offsets[row + 1] - shift, bytes.length);
    }
    yield rows;
    first = last;
  }
}

/** Of each value its length and, up to twelve bytes, the value; else its first four, which buffer it is in, and where. */
function readViews(body: Body, own: FieldPlace, nulls: Uint8Array | undefined): Rows {
  const { rows: count, viewBuffers } = body.batch;
  const buffers = Array.from({ length: 1 + (viewBuffers[own.views] ?? 0) }, (_, i) => body.read(own, 1 + i));
  if (buffers[0].length < 16 * count) throw new Error(outOfBounds);
  const bases: number[] = [];
  let size = 0;
  for (const { length } of buffers) {
    bases.push(size);
    size += length;
  }
  if (size > maxBytes)
    throw new TableFault({ expected: 'at most 4 GiB of text in a record batch', got: `${size} bytes` });
  const rows = emptyRows(Buffer.concat(buffers), count);
  const words = viewOf(buffers[0]);
  for (let row = 0; row < count; row++) {
    if (nulls?.[row]) continue;
    const at = 16 * row;
    const length = words.getInt32(at, true);
    const [buffer, begin] =
      length <= 12 ? [0, at + 4] : [1 + words.getInt32(at + 8, true), words.getInt32(at + 12, true)];
    const base = bases[buffer];
    if (base === undefined || begin < 0 || begin + length > buffers[buffer].length) throw new Error(outOfBounds);
    place(rows, row, base + begin, base + begin + length, size);
  }
  return rows;
}

/** Rows that are places in a dictionary. */
function* readPlaces(
  body: Body,
  { bitWidth, isSigned }: NonNullable<ArrowField['dictionary']>,
  own: FieldPlace,
  nulls: Uint8Array | undefined,
  dictionary = emptyRows(new Uint8Array(0), 0),
): Generator<Rows> {
  const { rows: count } = body.batch;
  const places = integers(body.read(own, 1), bitWidth, isSigned);
  if (places.length < count) throw new Error(`${places.length} places for ${count} rows`);
  const { begins, ends, bytes } = dictionary;
  for (let first = 0; first < count; first += mostRows) {
    const rows = emptyRows(bytes, Math.min(mostRows, count - first));
    for (let i = 0; i < rows.begins.length; i++) {
      // A row that is null may have any place.
      if (nulls?.[first + i]) continue;
      const value = places[first + i];
      if (!(value >= 0 && value < begins.length)) throw new Error(`value ${value} of a dictionary of ${begins.length}`);
      rows.begins[i] = begins[value];
      rows.ends[i] = ends[value];
    }
    yield rows;
  }
}

function emptyRows(bytes: Uint8Array, count: number): Rows {
  return { bytes, begins: new Uint32Array(count).fill(isNull), ends: new Uint32Array(count) };
}

function place(rows: Rows, row: number, begin: number, end: number, limit: number): void {
  if (!(begin >= 0 && begin <= end && end <= limit && end < isNull)) throw new Error(outOfBounds);
  rows.begins[row] = begin;
  rows.ends[row] = end;
}

function concatenate(chunks: Rows[]): Rows {
  // Chunks of a compressed buffer all have all of it.
  const pieces = new Map<Uint8Array, number>();
  let size = 0;
  for (const { bytes } of chunks) {
    if (pieces.has(bytes)) continue;
    pieces.set(bytes, size);
    size += bytes.length;
  }
  if (size > maxBytes)
    throw new TableFault({ expected: 'at most 4 GiB of text in a dictionary', got: `${size} bytes` });
  const count = chunks.reduce((sum, { begins }) => sum + begins.length, 0);
  const rows = emptyRows(Buffer.concat([...pieces.keys()]), count);
  let at = 0;
  for (const { bytes, begins, ends } of chunks) {
    const base = pieces.get(bytes) ?? 0;
    for (let i = 0; i < begins.length; i++, at++) {
      if (begins[i] === isNull) continue;
      rows.begins[at] = base + begins[i];
      rows.ends[at] = base + ends[i];
    }
  }
  return rows;
}

function integers(bytes: Uint8Array, bitWidth: number, isSigned: boolean): ArrayLike<number> {
  const { buffer, byteOffset, length } = bytes;
  if (bitWidth === 8) return isSigned ? new Int8Array(buffer, byteOffset, length) : bytes;
  if (bitWidth === 16 && isSigned) return new Int16Array(buffer, byteOffset, length >> 1);
  if (bitWidth === 16) return new Uint16Array(buffer, byteOffset, length >> 1);
  return bitWidth === 64 ? longs(bytes) : ints(bytes);
}

function ints(bytes: Uint8Array): Int32Array {
  return new Int32Array(bytes.buffer, bytes.byteOffset, bytes.length >> 2);
}

/** Exact below 2^53. */
function longs(bytes: Uint8Array): Float64Array {
  const words = ints(bytes);
  const values = new Float64Array(words.length >> 1);
  for (let i = 0; i < values.length; i++) values[i] = (words[2 * i] >>> 0) + words[2 * i + 1] * 2 ** 32;
  return values;
}
