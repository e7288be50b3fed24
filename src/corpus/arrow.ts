/**
 * The text column of an Arrow IPC file or stream. Both are messages one after another (a file has a magic number before them
 * and a footer behind), so both are planned by hopping from message to message; the footer says nothing about rows. Of a record
 * batch only the buffers of the column are read, and of its values a few MiB at a time where they are not compressed.
 *
 * apache-arrow decodes the metadata. Its record batches are not used: it reads whole bodies, and values as strings.
 * Source: Arrow columnar format, "Serialization and Interprocess Communication".
 */
import {
  CompressionType,
  DataType,
  type Dictionary,
  type Field,
  type Int,
  MetadataVersion,
  type Schema,
  UnionMode,
} from 'apache-arrow';
import { Message, type RecordBatch } from 'apache-arrow/ipc/metadata/message';
import { unlz4Frame } from './lz4.js';
import { isNull, type Rows } from './rows.js';
import { TableFault, type TableFile, type TablePart, type TablePlan, wrongColumn } from './tableFile.js';
import { unzstdAtOnce } from './zstd.js';

const fileMagic = 'ARROW1';
/** In a file the magic number is padded to eight bytes; behind the footer stand its length and the magic number again. */
const headBytes = 8;
const tailBytes = 10;
const continuation = 0xffffffff;
/** Most metadata comes with the read of its length. */
const guessedBytes = 2048;
/** Values and rows that become rows at a time. */
const valueBytes = 4 << 20;
const mostRows = 1 << 16;
/** Places in a buffer that is held as a whole are 32-bit. */
const maxBytes = 2 ** 32 - 2;

interface PlacedMessage {
  offset: number;
  message: Message;
  /** Where its buffers lie. */
  bodyOffset: number;
  /** Of the next message. */
  end: number;
}

export function planArrow(file: TableFile, column: string): TablePlan {
  const { begin, end } = findMessages(file);
  const first = begin < end ? readMessage(file, begin, end) : undefined;
  if (first === undefined || !first.message.isSchema()) {
    throw new TableFault({ expected: 'an Arrow IPC file or stream', got: 'one that does not begin with a schema' });
  }
  const place = findColumn(first.message.header(), column);
  const parts: TablePart[] = [];
  let dictionary: LazyDictionary | undefined;
  let at = first.end;
  try {
    for (let next = readMessage(file, at, end); next !== undefined; next = readMessage(file, at, end)) {
      const { message, offset } = next;
      if (message.isRecordBatch()) {
        const values = dictionary;
        const read = (table: TableFile) => readBatch(table, readMessage(table, offset, end), place, values);
        parts.push({ offset, rows: message.header().length, read });
      }
      if (message.isDictionaryBatch() && message.header().id === place.dictionary?.id) {
        dictionary = new LazyDictionary(next, place.type, message.header().isDelta ? dictionary : undefined);
      }
      at = next.end;
    }
  } catch (error) {
    return { parts, fault: { error, at } };
  }
  return { parts };
}

/** Where messages begin, and where they end at the latest. */
function findMessages(file: TableFile): { begin: number; end: number } {
  const isMagic = (bytes: Uint8Array) => Buffer.from(bytes).toString('latin1') === fileMagic;
  if (file.bytes < headBytes || !isMagic(file.read(0, fileMagic.length))) return { begin: 0, end: file.bytes };
  const notWhole = (got: string) => new TableFault({ expected: 'an Arrow file', got });
  if (file.bytes < headBytes + tailBytes) throw notWhole(`${file.bytes} bytes: it is cut short`);
  const tail = file.read(file.bytes - tailBytes, tailBytes);
  if (!isMagic(tail.subarray(4))) throw notWhole('one that does not end in ARROW1: it is cut short');
  const end = file.bytes - tailBytes - view(tail).getInt32(0, true);
  if (end < headBytes || end > file.bytes - tailBytes) throw notWhole('a footer longer than the file');
  return { begin: headBytes, end };
}

/** @returns undefined at the end. */
function readMessage(file: TableFile, offset: number, end: number): PlacedMessage | undefined {
  if (offset === end) return undefined;
  const head = file.read(offset, Math.min(guessedBytes, end - offset));
  const cutShort = (expected: string) =>
    new TableFault({ expected, got: 'the end of the file: it is cut short' }, offset);
  if (head.length < 4) throw cutShort('an Arrow message');
  const word = view(head).getUint32(0, true);
  // Before Arrow 0.15 the length came without a mark before it.
  const prefix = word === continuation ? 8 : 4;
  if (head.length < prefix) throw cutShort('an Arrow message');
  const length = word === continuation ? view(head).getUint32(4, true) : word;
  if (length === 0) return endOfStream(file, offset + prefix, end);
  const bodyOffset = offset + prefix + length;
  if (bodyOffset > end) throw cutShort(`an Arrow message of ${length} bytes`);
  const metadata =
    prefix + length <= head.length ? head.subarray(prefix, prefix + length) : file.read(offset + prefix, length);
  const message = Message.decode(metadata);
  const next = bodyOffset + message.bodyLength;
  if (!(next >= bodyOffset && next <= end)) throw cutShort(`a body of ${message.bodyLength} bytes`);
  return { offset, message, bodyOffset, end: next };
}

/** In a file the footer follows. */
function endOfStream(file: TableFile, at: number, end: number): undefined {
  const isStream = end === file.bytes;
  if (isStream && at < end)
    throw new TableFault(
      { expected: 'the end of the file behind that of the stream', got: `${end - at} bytes more` },
      at,
    );
}

/** Of the buffers of a record batch, which are those of all fields, depth first. */
interface BufferPlace {
  buffer: number;
  /** Columns of views before it: each has any number of buffers more. */
  views: number;
}

interface ColumnPlace {
  /** Of its values: Utf8, LargeUtf8 or Utf8View. */
  type: DataType;
  dictionary?: Dictionary;
  /** Validity of the structs around it, outermost first, and its own. */
  validities: (BufferPlace & { node: number })[];
  /** Where its column of views is among those, if it is one. */
  views: number;
}

function findColumn(schema: Schema, column: string): ColumnPlace {
  const names: string[] = [];
  let found: { place: ColumnPlace; type: DataType } | undefined;
  const at = { node: 0, buffer: 0, views: 0 };
  /** @param parent what names begin with; undefined inside of lists, whose items are no rows. */
  const walk = ({ name: own, type }: Field, parent: string | undefined, around: ColumnPlace['validities']) => {
    const name = parent === undefined ? undefined : parent + own;
    const validities = [...around, { ...at }];
    const dictionary = DataType.isDictionary(type) ? type : undefined;
    if (name !== undefined && !DataType.isStruct(type)) names.push(name);
    if (name === column) {
      const place = { type: dictionary?.dictionary ?? type, dictionary, validities, views: at.views };
      found = { place, type };
    }
    at.node++;
    at.buffer += buffersOf(type, schema.metadataVersion);
    if (DataType.isUtf8View(type) || DataType.isBinaryView(type)) at.views++;
    // The values of a dictionary lie elsewhere.
    if (dictionary !== undefined) return;
    const inner = DataType.isStruct(type) && name !== undefined ? `${name}.` : undefined;
    for (const child of type.children ?? []) walk(child, inner, validities);
  };
  for (const field of schema.fields) walk(field, '', []);
  if (found === undefined) return wrongColumn(column, undefined, names);
  const { place } = found;
  const isText = DataType.isUtf8(place.type) || DataType.isLargeUtf8(place.type) || DataType.isUtf8View(place.type);
  return isText ? place : wrongColumn(column, String(found.type), names);
}

/** Those of the field itself, without its children's, and of views without their data. */
function buffersOf(type: DataType, version: MetadataVersion): number {
  if (DataType.isNull(type)) return 0;
  if (DataType.isUnion(type)) return (type.mode === UnionMode.Sparse ? 1 : 2) + (version < MetadataVersion.V5 ? 1 : 0);
  if (DataType.isStruct(type) || DataType.isFixedSizeList(type)) return 1;
  if (DataType.isUtf8(type) || DataType.isLargeUtf8(type)) return 3;
  return DataType.isBinary(type) || DataType.isLargeBinary(type) ? 3 : 2;
}

/** The buffers of a record batch, read from the file when they are asked for. */
class Body {
  constructor(
    private readonly file: TableFile,
    private readonly placed: PlacedMessage,
    readonly batch: RecordBatch,
  ) {}

  get isCompressed(): boolean {
    return this.batch.compression !== null;
  }

  /** @param after how many buffers behind the place. */
  read(place: BufferPlace, after = 0): Uint8Array {
    const bytes = this.readSome(place, after);
    const { compression } = this.batch;
    if (compression === null || bytes.length === 0) return bytes;
    const length = Number(view(bytes).getBigInt64(0, true));
    const packed = bytes.subarray(8);
    // What compression would not make smaller is left as it is.
    if (length === -1) return packed;
    if (!(length >= 0 && length <= maxBytes)) throw new Error(`a buffer of ${length} bytes`);
    const unpacked =
      compression.type === CompressionType.ZSTD ? unzstdAtOnce(packed, length) : unlz4Frame(packed, length);
    if (unpacked.length !== length) throw new Error(`a buffer of ${unpacked.length} bytes that should have ${length}`);
    // Views of words want their begin at a multiple of eight.
    return unpacked.byteOffset % 8 === 0 ? unpacked : unpacked.slice();
  }

  /** As it lies in the file: a part of the buffer, or all of it. */
  readSome(place: BufferPlace, after: number, begin = 0, end?: number): Uint8Array {
    const { buffers, variadicBufferCounts } = this.batch;
    const more = variadicBufferCounts.slice(0, place.views).reduce((sum, count) => sum + count, 0);
    const { offset, length } = buffers[place.buffer + more + after];
    const { bodyOffset } = this.placed;
    const last = end ?? length;
    if (
      !(begin >= 0 && begin <= last && last <= length && offset >= 0 && bodyOffset + offset + length <= this.placed.end)
    ) {
      throw new Error('values beyond their buffer');
    }
    return this.file.read(bodyOffset + offset + begin, last - begin);
  }
}

function* readBatch(
  file: TableFile,
  placed: PlacedMessage | undefined,
  place: ColumnPlace,
  dictionary: LazyDictionary | undefined,
): Generator<Rows> {
  if (placed === undefined || !placed.message.isRecordBatch()) throw new Error('no record batch');
  const body = new Body(file, placed, placed.message.header());
  const rows =
    place.dictionary === undefined
      ? readValues(body, place)
      : readPlaces(body, place, place.dictionary, dictionary?.read(file));
  yield* withNulls(rows, readNulls(body, place));
}

/** @returns for each row whether it or a struct around it is null; undefined where none is. */
function readNulls(body: Body, { validities }: ColumnPlace): Uint8Array | undefined {
  const { length, nodes } = body.batch;
  let nulls: Uint8Array | undefined;
  for (const place of validities) {
    if (nodes[place.node].nullCount === 0) continue;
    const bits = body.read(place);
    // Left out where nothing is null.
    if (bits.length === 0) continue;
    nulls ??= new Uint8Array(length);
    for (let row = 0; row < length; row++) nulls[row] |= ~(bits[row >> 3] >> (row & 7)) & 1;
  }
  return nulls;
}

function* withNulls(chunks: Iterable<Rows>, nulls: Uint8Array | undefined): Generator<Rows> {
  let first = 0;
  for (const rows of chunks) {
    const { begins } = rows;
    for (let i = 0; nulls !== undefined && i < begins.length; i++) if (nulls[first + i]) begins[i] = isNull;
    first += begins.length;
    yield rows;
  }
}

function readValues(body: Body, place: ColumnPlace): Iterable<Rows> {
  if (body.batch.length === 0) return [];
  return DataType.isUtf8View(place.type) ? [readViews(body, place)] : readOffsets(body, place);
}

/** Values one after the other, in pieces. */
function* readOffsets(body: Body, place: ColumnPlace): Generator<Rows> {
  const [own] = place.validities.slice(-1);
  const { length } = body.batch;
  const offsets = DataType.isLargeUtf8(place.type) ? wideOffsets(body.read(own, 1)) : int32s(body.read(own, 1));
  if (offsets.length <= length) throw new Error(`${offsets.length} offsets for ${length} values`);
  const all = body.isCompressed ? body.read(own, 2) : undefined;
  for (let row = 0; row < length; ) {
    const first = row;
    const from = offsets[first];
    do row++;
    while (row < length && row - first < mostRows && offsets[row + 1] - from <= valueBytes);
    const count = row - first;
    const rows = {
      bytes: all ?? body.readSome(own, 2, from, offsets[row]),
      begins: new Uint32Array(count),
      ends: new Uint32Array(count),
    };
    // Where the values were read in part, the part begins at 0.
    const shift = all === undefined ? from : 0;
    for (let i = 0; i < count; i++) {
      const [begin, end] = [offsets[first + i] - shift, offsets[first + i + 1] - shift];
      if (!(begin >= 0 && begin <= end && end <= rows.bytes.length && end < isNull))
        throw new Error('values beyond their buffer');
      rows.begins[i] = begin;
      rows.ends[i] = end;
    }
    yield rows;
  }
}

/** Length and either the value, where it has twelve bytes at most, or its first four, and which buffer it is in, and where. */
function readViews(body: Body, place: ColumnPlace): Rows {
  const [own] = place.validities.slice(-1);
  const { length, variadicBufferCounts } = body.batch;
  const buffers = Array.from({ length: 1 + variadicBufferCounts[place.views] }, (_, i) => body.read(own, 1 + i));
  const bytes = Buffer.concat(buffers);
  const bases = buffers.map((_, i) => buffers.slice(0, i).reduce((sum, buffer) => sum + buffer.length, 0));
  const words = view(bytes);
  const [begins, ends] = [new Uint32Array(length), new Uint32Array(length)];
  for (let row = 0; row < length; row++) {
    const at = 16 * row;
    const size = words.getInt32(at, true);
    const buffer = size <= 12 ? 0 : 1 + words.getInt32(at + 8, true);
    const begin = size <= 12 ? at + 4 : words.getInt32(at + 12, true);
    if (!(size >= 0 && begin >= 0 && begin + size <= (buffers[buffer]?.length ?? 0)))
      throw new Error('values beyond their buffer');
    begins[row] = bases[buffer] + begin;
    ends[row] = begins[row] + size;
  }
  return { bytes, begins, ends };
}

/** Rows that are places in a dictionary. */
function* readPlaces(
  body: Body,
  place: ColumnPlace,
  { indices }: Dictionary,
  dictionary: Rows | undefined,
): Generator<Rows> {
  const [own] = place.validities.slice(-1);
  const { length } = body.batch;
  const places = readIntegers(body.read(own, 1), indices);
  if (places.length < length) throw new Error(`${places.length} places for ${length} rows`);
  const values = dictionary ?? { bytes: new Uint8Array(0), begins: new Uint32Array(0), ends: new Uint32Array(0) };
  const nulls = readNulls(body, place);
  for (let first = 0; first < length; first += mostRows) {
    const count = Math.min(mostRows, length - first);
    const [begins, ends] = [new Uint32Array(count), new Uint32Array(count)];
    for (let i = 0; i < count; i++) {
      // A row that is null may have any place.
      if (nulls?.[first + i]) continue;
      const value = places[first + i];
      if (!(value >= 0 && value < values.begins.length))
        throw new Error(`value ${value} of a dictionary of ${values.begins.length}`);
      begins[i] = values.begins[value];
      ends[i] = values.ends[value];
    }
    yield { bytes: values.bytes, begins, ends };
  }
}

/** The values of a dictionary, read when they are first asked for. */
class LazyDictionary {
  private rows: Rows | undefined;

  constructor(
    private readonly placed: PlacedMessage,
    private readonly type: DataType,
    /** What this one adds to. */
    private readonly base: LazyDictionary | undefined,
  ) {}

  read(file: TableFile): Rows {
    this.rows ??= concatenate([...(this.base === undefined ? [] : [this.base.read(file)]), ...this.readOwn(file)]);
    return this.rows;
  }

  private readOwn(file: TableFile): Iterable<Rows> {
    const { message } = this.placed;
    if (!message.isDictionaryBatch()) throw new Error('no dictionary');
    const body = new Body(file, this.placed, message.header().data);
    const place = { type: this.type, validities: [{ node: 0, buffer: 0, views: 0 }], views: 0 };
    return withNulls(readValues(body, place), readNulls(body, place));
  }
}

function concatenate(chunks: Rows[]): Rows {
  const count = chunks.reduce((sum, { begins }) => sum + begins.length, 0);
  const [begins, ends] = [new Uint32Array(count), new Uint32Array(count)];
  // Chunks of a compressed buffer all have all of it.
  const pieces = [...new Set(chunks.map(({ bytes }) => bytes))];
  const bases = new Map<Uint8Array, number>();
  let base = 0;
  for (const piece of pieces) {
    bases.set(piece, base);
    base += piece.length;
  }
  let at = 0;
  for (const chunk of chunks) {
    const shift = bases.get(chunk.bytes) ?? 0;
    for (let i = 0; i < chunk.begins.length; i++, at++) {
      begins[at] = chunk.begins[i] === isNull ? isNull : shift + chunk.begins[i];
      ends[at] = shift + chunk.ends[i];
    }
  }
  return { bytes: Buffer.concat(pieces), begins, ends };
}

function readIntegers(bytes: Uint8Array, { bitWidth, isSigned }: Int): ArrayLike<number> {
  if (bitWidth === 64) return wideOffsets(bytes);
  if (bitWidth === 32) return int32s(bytes);
  const { buffer, byteOffset, length } = bytes;
  if (bitWidth === 8) return isSigned ? new Int8Array(buffer, byteOffset, length) : bytes;
  const Integers = isSigned ? Int16Array : Uint16Array;
  return new Integers(buffer as ArrayBuffer, byteOffset, length >> 1);
}

function int32s(bytes: Uint8Array): Int32Array {
  return new Int32Array(bytes.buffer, bytes.byteOffset, bytes.length >> 2);
}

/** Integers of 64 bits, exact below 2^53. */
function wideOffsets(bytes: Uint8Array): Float64Array {
  const words = int32s(bytes);
  return Float64Array.from({ length: words.length >> 1 }, (_, i) => (words[2 * i] >>> 0) + words[2 * i + 1] * 2 ** 32);
}

function view(bytes: Uint8Array): DataView {
  return new DataView(bytes.buffer, bytes.byteOffset, bytes.byteLength);
}
