/**
 * The metadata of Arrow IPC, of which a reader of one text column needs little: fields and their layouts, where batches,
 * nodes and buffers lie. Read where it lies in its flatbuffer. Every length is held against the bytes that are there, which
 * apache-arrow does not do: one changed bit, and it makes objects until memory is used up.
 * Source: Message.fbs, Schema.fbs and File.fbs in apache/arrow, format/; flatbuffers' internals (tables, vectors).
 */

/** A table of a flatbuffer: its fields are at offsets that its vtable tells. Whatever lies outside the bytes throws RangeError. */
class FlatTable {
  private readonly vtable: number;

  private constructor(
    private readonly view: DataView,
    private readonly at: number,
  ) {
    this.vtable = at - view.getInt32(at, true);
  }

  static root(bytes: Uint8Array): FlatTable {
    const view = new DataView(bytes.buffer, bytes.byteOffset, bytes.byteLength);
    return new FlatTable(view, view.getUint32(0, true));
  }

  /** Where a field lies; 0 where it is left out and has its default. */
  private find(field: number): number {
    const slot = 4 + 2 * field;
    if (slot >= this.view.getUint16(this.vtable, true)) return 0;
    const offset = this.view.getUint16(this.vtable + slot, true);
    return offset === 0 ? 0 : this.at + offset;
  }

  byte(field: number): number {
    const at = this.find(field);
    return at === 0 ? 0 : this.view.getUint8(at);
  }

  short(field: number): number {
    const at = this.find(field);
    return at === 0 ? 0 : this.view.getInt16(at, true);
  }

  int(field: number): number {
    const at = this.find(field);
    return at === 0 ? 0 : this.view.getInt32(at, true);
  }

  long(field: number): number {
    const at = this.find(field);
    return at === 0 ? 0 : long(this.view, at);
  }

  text(field: number): string {
    const [begin, length] = this.vector(field, 1);
    return Buffer.from(this.view.buffer, this.view.byteOffset + begin, length).toString('utf8');
  }

  table(field: number): FlatTable | undefined {
    const at = this.find(field);
    return at === 0 ? undefined : new FlatTable(this.view, at + this.view.getUint32(at, true));
  }

  tables(field: number): FlatTable[] {
    const [begin, length] = this.vector(field, 4);
    return Array.from({ length }, (_, i) => {
      const at = begin + 4 * i;
      return new FlatTable(this.view, at + this.view.getUint32(at, true));
    });
  }

  /** Structs of so many longs each, one after the other. */
  longs(field: number, each: number): number[] {
    const [begin, length] = this.vector(field, 8 * each);
    return Array.from({ length: length * each }, (_, i) => long(this.view, begin + 8 * i));
  }

  /** Where its items begin, and how many there are. */
  private vector(field: number, itemBytes: number): [number, number] {
    const at = this.find(field);
    if (at === 0) return [0, 0];
    const begin = at + this.view.getUint32(at, true) + 4;
    const length = this.view.getUint32(begin - 4, true);
    if (begin + length * itemBytes > this.view.byteLength)
      throw new RangeError(`metadata with a vector of ${length} items`);
    return [begin, length];
  }
}

function long(view: DataView, at: number): number {
  const value = Number(view.getBigInt64(at, true));
  if (!(value >= -1 && Number.isSafeInteger(value))) throw new RangeError(`metadata with the length ${value}`);
  return value;
}

/** By the numbers of Schema.fbs. */
const typeNames = (
  'none null int float binary string bool decimal date time timestamp interval list struct union fixed_size_binary ' +
  'fixed_size_list map duration large_binary large_string large_list run_end_encoded binary_view string_view list_view large_list_view'
).split(' ');

export interface ArrowField {
  name: string;
  /** Of its values, also where they lie in a dictionary. */
  type: string;
  children: ArrowField[];
  /** Where the column holds places in a dictionary: which one, and what the places are. */
  dictionary?: { id: number; bitWidth: number; isSigned: boolean };
  /** Buffers of the field itself, without its children's, and of views without their data. */
  buffers: number;
}

/** Buffers by type, where they are not two (validity and values). */
const bufferCounts: Record<string, number> = {
  null: 0,
  run_end_encoded: 0,
  struct: 1,
  fixed_size_list: 1,
  string: 3,
  binary: 3,
  large_string: 3,
  large_binary: 3,
  list_view: 3,
  large_list_view: 3,
};

/** From this version on, unions have no validity. */
const version5 = 4;

function readFields(schema: FlatTable | undefined, version: number): ArrowField[] {
  if (schema === undefined) throw new Error('no schema');
  if (schema.short(0) !== 0) throw new Error('a schema whose values are big-endian');
  return schema.tables(1).map((field) => readField(field, version));
}

function readField(field: FlatTable, version: number): ArrowField {
  const type = typeNames[field.byte(2)];
  if (type === undefined) throw new Error(`a column of type number ${field.byte(2)}`);
  const encoding = field.table(4);
  // A dictionary's values lie elsewhere, and so do those inside them.
  const children = encoding === undefined ? field.tables(5).map((child) => readField(child, version)) : [];
  return {
    name: field.text(0),
    type,
    children,
    dictionary: readEncoding(encoding),
    buffers: countBuffers(field, type, version),
  };
}

function readEncoding(encoding: FlatTable | undefined): ArrowField['dictionary'] {
  if (encoding === undefined) return undefined;
  const places = encoding.table(1);
  return {
    id: encoding.long(0),
    bitWidth: places?.int(0) ?? 32,
    isSigned: places === undefined || places.byte(1) === 1,
  };
}

function countBuffers(field: FlatTable, type: string, version: number): number {
  if (field.table(4) !== undefined) return 2;
  if (type !== 'union') return bufferCounts[type] ?? 2;
  const isDense = field.table(3)?.short(0) === 1;
  return (isDense ? 2 : 1) + (version < version5 ? 1 : 0);
}

export interface ArrowBatch {
  rows: number;
  /** Of each node its length and how many of it are null. */
  nodes: number[];
  /** Of each buffer where it begins in the body, and its length. */
  buffers: number[];
  /** Of each column of views, how many buffers of data it has. */
  viewBuffers: number[];
  compression?: 'lz4' | 'zstd';
}

export interface ArrowMessage {
  bodyLength: number;
  fields?: ArrowField[];
  /** Of a record batch or a dictionary. */
  batch?: ArrowBatch;
  dictionary?: { id: number; isDelta: boolean };
}

const headers = { schema: 1, dictionary: 2, batch: 3 };

export function readMetadata(bytes: Uint8Array): ArrowMessage {
  const message = FlatTable.root(bytes);
  const header = message.table(2);
  const bodyLength = message.long(3);
  switch (message.byte(1)) {
    case headers.schema:
      return { bodyLength, fields: readFields(header, message.short(0)) };
    case headers.batch:
      return { bodyLength, batch: readBatchMetadata(header) };
    case headers.dictionary: {
      const dictionary = { id: header?.long(0) ?? 0, isDelta: header?.byte(2) === 1 };
      return { bodyLength, batch: readBatchMetadata(header?.table(1)), dictionary };
    }
    default:
      return { bodyLength };
  }
}

function readBatchMetadata(batch: FlatTable | undefined): ArrowBatch {
  if (batch === undefined) throw new Error('no record batch');
  const [rows, nodes, buffers, viewBuffers] = [batch.long(0), batch.longs(1, 2), batch.longs(2, 2), batch.longs(4, 1)];
  const compression = batch.table(3);
  if (compression === undefined) return { rows, nodes, buffers, viewBuffers };
  return { rows, nodes, buffers, viewBuffers, compression: compression.byte(0) === 1 ? 'zstd' : 'lz4' };
}

/** A file's schema, and where its dictionaries and record batches begin. */
export function readFooter(bytes: Uint8Array): { fields: ArrowField[]; dictionaries: number[]; batches: number[] } {
  const footer = FlatTable.root(bytes);
  const begins = (field: number) => footer.longs(field, 3).filter((_, i) => i % 3 === 0);
  return { fields: readFields(footer.table(1), footer.short(0)), dictionaries: begins(2), batches: begins(3) };
}
