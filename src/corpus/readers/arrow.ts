/**
 * The text column of an Arrow IPC file or stream. A file's footer says where its record batches begin; a stream is planned by
 * hopping from message to message. Either way the metadata of all batches is read, for the numbers of rows.
 * Source: Arrow columnar format, "Serialization and Interprocess Communication".
 */
import { ArrowColumn, type ColumnPlace, type DictionaryPlace, type PlacedBatch } from './arrowColumn.js';
import { type ArrowField, type ArrowMessage, readFooter, readMetadata } from './arrowMetadata.js';
import { TableFault, type TableFile, type TablePlan, viewOf, wrongColumn } from './tableFile.js';

const fileMagic = 'ARROW1';
/** Behind the footer stand its length and the magic number again. */
const tailBytes = 10;
const continuation = 0xffffffff;
/** Most metadata comes with the read of its length. */
const guessedBytes = 2048;

interface PlacedMessage extends ArrowMessage {
  offset: number;
  /** Where its buffers lie. */
  bodyOffset: number;
  /** Of the message. */
  end: number;
}

export function planArrow(file: TableFile, column: string): TablePlan {
  const { fields, messages, end } = isFile(file) ? openFile(file) : openStream(file);
  const place = findColumn(fields, column);
  const reader = new ArrowColumn(place);
  const parts: TablePlan['parts'] = [];
  let values: DictionaryPlace | undefined;
  let at = 0;
  try {
    for (const { batch, dictionary, ...message } of messages) {
      at = message.end;
      if (batch === undefined) continue;
      if (dictionary === undefined) {
        const { offset } = message;
        const own = values;
        parts.push({
          offset,
          rows: batch.rows,
          read: (table) => reader.read(table, readBatch(table, offset, end), own),
        });
      } else if (dictionary.id === place.dictionary?.id) {
        values = { batch: { ...message, batch }, base: dictionary.isDelta ? values : undefined };
      }
    }
  } catch (error) {
    return { parts, fault: { error, at } };
  }
  return { parts };
}

interface Opened {
  fields: ArrowField[];
  messages: Iterable<PlacedMessage>;
  /** Of all messages. */
  end: number;
}

function isMagic(bytes: Uint8Array): boolean {
  return Buffer.from(bytes).toString('latin1') === fileMagic;
}

function isFile(file: TableFile): boolean {
  return file.bytes >= fileMagic.length && isMagic(file.read(0, fileMagic.length));
}

function openFile(file: TableFile): Opened {
  const notWhole = (got: string) => new TableFault({ expected: 'an Arrow file', got });
  if (file.bytes < 2 * tailBytes) throw notWhole(`${file.bytes} bytes: it is cut short`);
  const tail = file.read(file.bytes - tailBytes, tailBytes);
  if (!isMagic(tail.subarray(4))) throw notWhole('one that does not end in ARROW1: it is cut short');
  const footerBytes = viewOf(tail).getInt32(0, true);
  const end = file.bytes - tailBytes - footerBytes;
  if (footerBytes < 0 || end < 0) throw notWhole(`a footer of ${footerBytes} bytes in ${file.bytes}`);
  const { fields, dictionaries, batches } = readFooter(file.read(end, footerBytes));
  function* messages(): Generator<PlacedMessage> {
    for (const offset of [...dictionaries, ...batches]) yield readBatch(file, offset, end);
  }
  return { fields, messages: messages(), end };
}

function openStream(file: TableFile): Opened {
  const end = file.bytes;
  const first = readMessage(file, 0, end);
  if (first?.fields === undefined) {
    throw new TableFault({ expected: 'an Arrow IPC file or stream', got: 'one that does not begin with a schema' });
  }
  const { fields, end: second } = first;
  function* messages(): Generator<PlacedMessage> {
    for (let next = readMessage(file, second, end); next !== undefined; next = readMessage(file, next.end, end))
      yield next;
  }
  return { fields, messages: messages(), end };
}

function readBatch(file: TableFile, offset: number, end: number): PlacedMessage & PlacedBatch {
  const message = readMessage(file, offset, end);
  if (message?.batch === undefined) throw new TableFault({ expected: 'a record batch', got: 'none' }, offset);
  return { ...message, batch: message.batch };
}

/** @returns undefined at the end. @throws TableFault where the file is cut short, or goes on behind its end. */
function readMessage(file: TableFile, offset: number, end: number): PlacedMessage | undefined {
  if (offset === end) return undefined;
  const cutShort = (expected: string) => {
    return new TableFault({ expected, got: 'the end of the file: it is cut short' }, offset);
  };
  if (offset + 4 > end) throw cutShort('an Arrow message');
  const head = file.read(offset, Math.min(guessedBytes, end - offset));
  const word = viewOf(head).getUint32(0, true);
  // Before Arrow 0.15 the length came without a mark before it.
  const prefix = word === continuation ? 8 : 4;
  if (head.length < prefix) throw cutShort('an Arrow message');
  const length = prefix === 8 ? viewOf(head).getUint32(4, true) : word;
  const bodyOffset = offset + prefix + length;
  if (length === 0) {
    if (bodyOffset === end) return undefined;
    const got = `${end - bodyOffset} bytes more`;
    throw new TableFault({ expected: 'the end of the file behind that of the stream', got }, bodyOffset);
  }
  if (bodyOffset > end) throw cutShort(`${length} bytes of metadata`);
  const isAtHand = prefix + length <= head.length;
  const message = readMetadata(isAtHand ? head.subarray(prefix, prefix + length) : file.read(offset + prefix, length));
  const messageEnd = bodyOffset + message.bodyLength;
  if (messageEnd > end) throw cutShort(`${message.bodyLength} bytes of values`);
  return { ...message, offset, bodyOffset, end: messageEnd };
}

function findColumn(fields: ArrowField[], column: string): ColumnPlace {
  const names: string[] = [];
  let found: ColumnPlace | undefined;
  const at = { node: 0, buffer: 0, views: 0 };
  /** @param parent what names begin with; undefined inside of lists, whose items are no rows. */
  const walk = (field: ArrowField, parent: string | undefined, around: ColumnPlace['path']) => {
    const { type, dictionary } = field;
    const name = parent === undefined ? undefined : parent + field.name;
    const own = { ...at };
    const path = [...around, own];
    if (name !== undefined && type !== 'struct') names.push(name);
    if (name === column) found = { type, dictionary, path, own };
    at.node++;
    at.buffer += field.buffers;
    if (dictionary === undefined && (type === 'string_view' || type === 'binary_view')) at.views++;
    const inner = type === 'struct' && name !== undefined ? `${name}.` : undefined;
    for (const child of field.children) walk(child, inner, path);
  };
  for (const field of fields) walk(field, '', []);
  if (found === undefined) return wrongColumn(column, undefined, names);
  return ['string', 'large_string', 'string_view'].includes(found.type)
    ? found
    : wrongColumn(column, found.type, names);
}
