/**
 * The text column of a Parquet file: its pages become rows as bytes, without a string or a view for each.
 *
 * hyparquet reads the footer and the headers of pages, and unpacks runs and deltas. What lies between (levels, dictionary,
 * values) is short for one column of strings that is in no list: a value is there where the definition level is the highest.
 * Memory: the column's bytes in one row group, its dictionary, and one page. Source: the specification in apache/parquet-format.
 */
import { brotliDecompressSync, crc32, gunzipSync } from 'node:zlib';
import { type ColumnMetaData, type Compressors, type PageHeader, parquetMetadata, type SchemaElement } from 'hyparquet';
import { parquetHeader } from 'hyparquet/src/column.js';
import { decompressPage } from 'hyparquet/src/datapage.js';
import { deltaBinaryUnpack } from 'hyparquet/src/delta.js';
import { readRleBitPackedHybrid } from 'hyparquet/src/encoding.js';
import { compressors as scripts } from 'hyparquet-compressors';
import { isNull, type Rows } from './rows.js';
import { TableFault, type TableFile, type TablePlan, viewOf, wrongColumn } from './tableFile.js';
import { unzstdAtOnce } from './zstd.js';

/** The runtime's own, where it has one: several times as fast as script. */
const compressors: Compressors = {
  ...scripts,
  GZIP: (input, length) => gunzipSync(input, { maxOutputLength: Math.max(1, length) }),
  BROTLI: (input, length) => brotliDecompressSync(input, { maxOutputLength: Math.max(1, length) }),
  ZSTD: unzstdAtOnce,
};

const magic = 'PAR1';
/** Length of the footer and the magic number. */
const tailBytes = 8;

type Metadata = ReturnType<typeof parquetMetadata>;

export function planParquet(file: TableFile, column: string): TablePlan {
  const metadata = readFooter(file);
  const maxLevel = findColumn(metadata.schema, column);
  const parts = metadata.row_groups.map(({ columns, num_rows }) => {
    const chunk = columns.find(({ meta_data }) => meta_data?.path_in_schema.join('.') === column);
    if (chunk?.meta_data === undefined || chunk.file_path) {
      throw new TableFault({
        expected: `"${column}" in the file itself`,
        got: 'a column that is encrypted or elsewhere',
      });
    }
    const { meta_data } = chunk;
    const rows = Number(num_rows);
    const begins = columns.flatMap(({ meta_data }) => (meta_data === undefined ? [] : chunkBegin(meta_data)));
    const offset = Math.min(...begins);
    return { offset, rows, read: (table: TableFile) => readChunk(table, meta_data, rows, maxLevel) };
  });
  return { parts };
}

function readFooter(file: TableFile): Metadata {
  const notParquet = (got: string) => new TableFault({ expected: 'a Parquet file', got });
  if (file.bytes < magic.length + tailBytes) throw notParquet(`${file.bytes} bytes`);
  const isMagic = (bytes: Uint8Array) => Buffer.from(bytes).toString('latin1') === magic;
  if (!isMagic(file.read(0, magic.length))) throw notParquet('one that does not begin with PAR1');
  const tail = file.read(file.bytes - tailBytes, tailBytes);
  if (!isMagic(tail.subarray(4))) throw notParquet('one that does not end in PAR1: it is cut short');
  const footerBytes = viewOf(tail).getUint32(0, true) + tailBytes;
  if (footerBytes > file.bytes) throw notParquet(`a footer of ${footerBytes} bytes in ${file.bytes}`);
  return parquetMetadata(file.read(file.bytes - footerBytes, footerBytes), { geoparquet: false });
}

/** @returns the definition level at which there is a value: how many of the column and the structs that it lies in may be null. */
function findColumn(schema: SchemaElement[], column: string): number {
  const names: string[] = [];
  let found: { type: string | undefined; maxLevel: number } | undefined;
  let at = 1;
  // The schema is a tree, written depth first.
  const walk = (parent: string, parentLevel: number, isInList: boolean) => {
    const element = schema[at++];
    const name = parent + element.name;
    const isList = isInList || element.repetition_type === 'REPEATED';
    const maxLevel = parentLevel + (element.repetition_type === 'REQUIRED' ? 0 : 1);
    const children = element.num_children ?? 0;
    if (children === 0) names.push(name);
    if (name === column) found = { type: isList ? 'LIST' : typeOf(element), maxLevel };
    for (let i = 0; i < children; i++) walk(`${name}.`, maxLevel, isList);
  };
  while (at < schema.length) walk('', 0, false);
  if (found === undefined) return wrongColumn(column, undefined, names);
  return found.type === undefined ? found.maxLevel : wrongColumn(column, found.type, names);
}

/** @returns undefined for strings. */
function typeOf({ type, converted_type, logical_type, num_children }: SchemaElement): string | undefined {
  const meaning = logical_type?.type ?? converted_type;
  if (num_children) return meaning ?? 'STRUCT';
  const isText = ['STRING', 'UTF8', 'ENUM', 'JSON'].includes(meaning ?? '');
  return type === 'BYTE_ARRAY' && isText ? undefined : (meaning ?? type);
}

/** A dictionary comes first; some writers do not say where it is. */
function chunkBegin({ data_page_offset, dictionary_page_offset }: ColumnMetaData): number {
  const [data, dictionary] = [Number(data_page_offset), Number(dictionary_page_offset ?? 0)];
  return dictionary > 0 && dictionary < data ? dictionary : data;
}

function* readChunk(
  file: TableFile,
  { codec, ...chunk }: ColumnMetaData,
  rows: number,
  maxLevel: number,
): Generator<Rows> {
  const begin = chunkBegin({ codec, ...chunk });
  const bytes = file.read(begin, Number(chunk.total_compressed_size));
  const reader = { view: viewOf(bytes), offset: 0 };
  let dictionary: Rows | undefined;
  for (let done = 0; done < rows; ) {
    const header = parquetHeader(reader);
    const at = begin + reader.offset;
    const body = bytes.subarray(reader.offset, reader.offset + header.compressed_page_size);
    if (header.compressed_page_size < 0 || body.length < header.compressed_page_size) {
      throw new TableFault(
        { expected: `a page of ${header.compressed_page_size} bytes`, got: String(body.length) },
        at,
      );
    }
    reader.offset += body.length;
    if (header.crc !== undefined && (header.crc | 0) !== (crc32(body) | 0)) {
      throw new TableFault({ expected: 'a page that agrees with its CRC-32', got: 'another' }, at);
    }
    if (header.type === 'DICTIONARY_PAGE') {
      const page = decompressPage(body, header.uncompressed_page_size, codec, compressors);
      dictionary = readPlain(page, header.dictionary_page_header?.num_values ?? 0);
    } else if (header.type === 'DATA_PAGE' || header.type === 'DATA_PAGE_V2') {
      const { levels, values, encoding } = openPage(header, body, codec, maxLevel);
      const page = spread(readValues(values, encoding, countPresent(levels, maxLevel), dictionary), levels, maxLevel);
      done += page.begins.length;
      yield page;
    }
  }
}

interface DataPage {
  /** Definition level of each row. */
  levels: Uint8Array;
  /** Of the rows at the highest level, as `encoding` says. */
  values: Uint8Array;
  encoding: string;
}

function openPage(header: PageHeader, body: Uint8Array, codec: ColumnMetaData['codec'], maxLevel: number): DataPage {
  const width = 32 - Math.clz32(maxLevel);
  const { data_page_header: v1, data_page_header_v2: v2 } = header;
  if (v2 !== undefined) {
    const levels = new Uint8Array(v2.num_values);
    const { definition_levels_byte_length: definition, repetition_levels_byte_length: repetition } = v2;
    if (maxLevel > 0) readRleBitPackedHybrid({ view: viewOf(body), offset: repetition }, width, levels, definition);
    const packed = body.subarray(repetition + definition);
    const length = header.uncompressed_page_size - repetition - definition;
    const isPacked = v2.is_compressed !== false && length > 0;
    const values = isPacked ? decompressPage(packed, length, codec, compressors) : packed;
    return { levels, values, encoding: v2.encoding };
  }
  if (v1 === undefined) throw new Error('a data page without its header');
  const page = decompressPage(body, header.uncompressed_page_size, codec, compressors);
  const levels = new Uint8Array(v1.num_values);
  const reader = { view: viewOf(page), offset: 0 };
  if (maxLevel > 0) {
    if (v1.definition_level_encoding !== 'RLE') throw new Error(`levels encoded as ${v1.definition_level_encoding}`);
    readRleBitPackedHybrid(reader, width, levels);
  }
  return { levels, values: page.subarray(reader.offset), encoding: v1.encoding };
}

function countPresent(levels: Uint8Array, maxLevel: number): number {
  let count = 0;
  for (const level of levels) if (level === maxLevel) count++;
  return count;
}

/** Values to their rows, with null between them. */
function spread(values: Rows, levels: Uint8Array, maxLevel: number): Rows {
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

function readValues(bytes: Uint8Array, encoding: string, count: number, dictionary: Rows | undefined): Rows {
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
function readPlain(bytes: Uint8Array, count: number): Rows {
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
  if (bytes[0] > 0) readRleBitPackedHybrid({ view: viewOf(bytes), offset: 1 }, bytes[0], places, bytes.length - 1);
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
