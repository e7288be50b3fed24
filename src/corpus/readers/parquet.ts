/**
 * The text column of a Parquet file: its pages become rows as bytes, without a string or a view for each.
 *
 * hyparquet reads the footer and the headers of pages, and unpacks differences. What lies between is short for one column of
 * strings that is in no list: a row has a value where its definition level is the highest.
 * Memory: the column's bytes in one row group, its dictionary, and one page. Source: the specification in apache/parquet-format.
 */
import { brotliDecompressSync, crc32, gunzipSync } from 'node:zlib';
import { type ColumnMetaData, type Compressors, type PageHeader, parquetMetadata, type SchemaElement } from 'hyparquet';
import { parquetHeader } from 'hyparquet/src/column.js';
import { decompressPage } from 'hyparquet/src/datapage.js';
import { compressors as scripts } from 'hyparquet-compressors';
import { unlz4 } from './lz4.js';
import { checkCount, countPresent, readHybrid, readPlain, readValues, spread } from './parquetValues.js';
import type { Rows } from './rows.js';
import { TableFault, type TableFile, type TablePlan, viewOf, wrongColumn } from './tableFile.js';
import { unzstdAtOnce } from './zstd.js';

/** The runtime's own, where it has one: faster than script. */
const compressors: Compressors = {
  ...scripts,
  GZIP: (input, length) => gunzipSync(input, { maxOutputLength: Math.max(1, length) }),
  BROTLI: (input, length) => brotliDecompressSync(input, { maxOutputLength: Math.max(1, length) }),
  ZSTD: unzstdAtOnce,
  LZ4_RAW: unlz4,
};

const magic = 'PAR1';
/** The format's sizes are of 32 bits. */
const mostPageBytes = 2 ** 31 - 1;
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

function* readChunk(file: TableFile, meta: ColumnMetaData, rows: number, maxLevel: number): Generator<Rows> {
  const begin = chunkBegin(meta);
  const bytes = file.read(begin, Number(meta.total_compressed_size));
  const reader = { view: viewOf(bytes), offset: 0 };
  let dictionary: Rows | undefined;
  for (let done = 0; done < rows; ) {
    const header = parquetHeader(reader);
    const at = begin + reader.offset;
    const size = checkCount(header.compressed_page_size, bytes.length - reader.offset);
    const body = bytes.subarray(reader.offset, reader.offset + size);
    reader.offset += size;
    if (header.crc !== undefined && (header.crc | 0) !== (crc32(body) | 0)) {
      throw new TableFault({ expected: 'a page that agrees with its CRC-32', got: 'another' }, at);
    }
    if (header.type === 'DICTIONARY_PAGE') {
      dictionary = readPlain(
        unpack(body, header.uncompressed_page_size, meta),
        header.dictionary_page_header?.num_values,
      );
    } else if (header.type === 'DATA_PAGE' || header.type === 'DATA_PAGE_V2') {
      const { levels, values, encoding } = openPage(header, body, meta, rows - done, maxLevel);
      done += levels.length;
      yield spread(readValues(values, encoding, countPresent(levels, maxLevel), dictionary), levels, maxLevel);
    }
  }
}

function unpack(bytes: Uint8Array, length: number, { codec }: ColumnMetaData): Uint8Array {
  return decompressPage(bytes, checkCount(length, mostPageBytes), codec, compressors);
}

interface DataPage {
  /** Definition level of each row. */
  levels: Uint8Array;
  /** Of the rows at the highest level, as `encoding` says. */
  values: Uint8Array;
  encoding: string;
}

function openPage(
  header: PageHeader,
  body: Uint8Array,
  meta: ColumnMetaData,
  mostRows: number,
  maxLevel: number,
): DataPage {
  const width = 32 - Math.clz32(maxLevel);
  const { data_page_header: v1, data_page_header_v2: v2, uncompressed_page_size: size } = header;
  const levels = new Uint8Array(checkCount((v2 ?? v1)?.num_values, mostRows));
  if (v2 !== undefined) {
    const repetition = checkCount(v2.repetition_levels_byte_length, body.length);
    const begin = repetition + checkCount(v2.definition_levels_byte_length, body.length - repetition);
    if (maxLevel > 0) readHybrid(body.subarray(repetition, begin), width, levels);
    const packed = body.subarray(begin);
    const isPacked = v2.is_compressed !== false && size > begin;
    return { levels, values: isPacked ? unpack(packed, size - begin, meta) : packed, encoding: v2.encoding };
  }
  const page = unpack(body, size, meta);
  const encoding = String(v1?.encoding);
  if (maxLevel === 0) return { levels, values: page, encoding };
  if (v1?.definition_level_encoding !== 'RLE') throw new Error(`levels encoded as ${v1?.definition_level_encoding}`);
  const end = 4 + checkCount(viewOf(page).getUint32(0, true), page.length - 4);
  readHybrid(page.subarray(4, end), width, levels);
  return { levels, values: page.subarray(end), encoding };
}
