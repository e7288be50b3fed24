/**
 * A line in, a line out: text or JSON strings from a stream → ids or pieces as text, a block at a time. No string is made of
 * plain text or its ids. A block ends behind white space, which no result depends on, so a line of any length passes in
 * pieces. Memory: a block and its output; what has no white space is held until it has, and a JSON line until it ends.
 */
import { GalvaniError } from '../errors.js';
import type { Tokenizer } from './tokenizer.js';

export interface LineFormat {
  /** Pieces instead of ids. */
  tokens?: boolean;
  /** Each line is a JSON string, and becomes a JSON array. */
  jsonl?: boolean;
}

/** @param where names the input in errors. @throws badInput for a line that is no JSON string. */
export async function* tokenizeLines(
  input: AsyncIterable<Uint8Array>,
  tokenizer: Tokenizer,
  { tokens = false, jsonl = false }: LineFormat,
  where: string,
): AsyncGenerator<Uint8Array> {
  const { pieces } = tokenizer.vocabulary;
  if (jsonl) {
    const names = new Names(
      pieces.map((piece, id) => (tokens ? JSON.stringify(piece) : `${id}`)),
      ',',
    );
    yield* tokenizeStrings(input, tokenizer, names, where);
  } else {
    const names = new Names(
      pieces.map((piece, id) => (tokens ? piece : `${id}`)),
      ' ',
    );
    yield* tokenizeText(input, tokenizer, names);
  }
}

const [space, lineEnd, openBracket, closeBracket] = Buffer.from(' \n[]');

async function* tokenizeText(
  input: AsyncIterable<Uint8Array>,
  tokenizer: Tokenizer,
  names: Names,
): AsyncGenerator<Uint8Array> {
  let isOpen = false; // the last line has not ended
  let hasTokens = false; // … and something of it is written
  for await (const block of blocksOf(input, isSpace)) {
    const { ids, lineEnds } = tokenizer.encodeLines(block);
    isOpen = block[block.length - 1] !== lineEnd;
    const [out, view] = makeOutput(names.roomFor(ids) + lineEnds.length + 1);
    let at = 0;
    let start = 0;
    lineEnds.forEach((end, line) => {
      if (hasTokens && end > start) out[at++] = space;
      at = names.write(ids, start, end, view, at);
      hasTokens ||= end > start;
      start = end;
      if (isOpen && line === lineEnds.length - 1) return;
      out[at++] = lineEnd;
      hasTokens = false;
    });
    yield out.subarray(0, at);
  }
  if (isOpen) yield Buffer.of(lineEnd);
}

async function* tokenizeStrings(
  input: AsyncIterable<Uint8Array>,
  tokenizer: Tokenizer,
  names: Names,
  where: string,
): AsyncGenerator<Uint8Array> {
  let line = 1;
  for await (const block of wholeLines(input)) {
    const rows = readStrings(block, where, line).map((text) => tokenizer.encode(text));
    const [out, view] = makeOutput(rows.reduce((sum, ids) => sum + names.roomFor(ids) + 3, 0));
    let at = 0;
    for (const ids of rows) {
      out[at++] = openBracket;
      at = names.write(ids, 0, ids.length, view, at);
      out[at++] = closeBracket;
      out[at++] = lineEnd;
    }
    line += rows.length;
    yield out.subarray(0, at);
  }
}

function makeOutput(bytes: number): [out: Buffer, view: DataView] {
  const out = Buffer.allocUnsafeSlow(bytes);
  return [out, new DataView(out.buffer)];
}

/**
 * What is printed for each id, with a separator behind it, as bytes. Eight are stored at once, which is most names whole:
 * a quarter of the time that single bytes take, a tenth of that of strings.
 */
class Names {
  readonly #bytes: Buffer;
  readonly #starts: Uint32Array; // one more than there are names
  readonly #heads: Uint32Array; // the first eight bytes of each
  readonly #longest: number;

  constructor(names: readonly string[], separator: string) {
    const encoded = names.map((name) => Buffer.from(name + separator));
    this.#bytes = Buffer.concat([...encoded, Buffer.alloc(8)]);
    this.#starts = new Uint32Array(names.length + 1);
    this.#heads = new Uint32Array(2 * names.length);
    let at = 0;
    encoded.forEach(({ length }, id) => {
      this.#heads[2 * id] = this.#bytes.readUInt32LE(at);
      this.#heads[2 * id + 1] = this.#bytes.readUInt32LE(at + 4);
      at += length;
      this.#starts[id + 1] = at;
    });
    this.#longest = encoded.reduce((most, { length }) => Math.max(most, length), 0);
  }

  /** At least the room that `write` takes. */
  roomFor(ids: Uint32Array): number {
    if (this.#longest <= 8) return 8 * ids.length + 8;
    let bytes = 8;
    for (let i = 0; i < ids.length; i++) bytes += this.#starts[ids[i] + 1] - this.#starts[ids[i]];
    return bytes;
  }

  /** The names of ids[from, to) at byte `at` of `out`, separated. @returns where the last one ends. */
  write(ids: Uint32Array, from: number, to: number, out: DataView, at: number): number {
    const starts = this.#starts;
    const heads = this.#heads;
    for (let i = from; i < to; i++) {
      const id = ids[i];
      const length = starts[id + 1] - starts[id];
      out.setUint32(at, heads[2 * id], true);
      out.setUint32(at + 4, heads[2 * id + 1], true);
      for (let k = 8; k < length; k++) out.setUint8(at + k, this.#bytes[starts[id] + k]);
      at += length;
    }
    return to > from ? at - 1 : at;
  }
}

function readStrings(block: Uint8Array, where: string, firstLine: number): string[] {
  return linesOf(block).map((line, i) => {
    const value = parseOrUndefined(line);
    if (typeof value === 'string') return value;
    throw new GalvaniError({
      stage: 'tokenize',
      expected: 'one JSON string a line',
      got: line.length > 60 ? `${line.slice(0, 60)}…` : line || 'an empty line',
      where: `${where}, line ${firstLine + i}`,
      remedy: 'Leave --jsonl out for plain text, or quote the line as JSON.',
      kind: 'badInput',
    });
  });
}

function parseOrUndefined(line: string): unknown {
  try {
    return JSON.parse(line);
  } catch {
    return undefined;
  }
}

/** The lines of a block as strings; a last line without LF counts, an empty rest does not. */
export function linesOf(block: Uint8Array): string[] {
  const lines = Buffer.from(block.buffer, block.byteOffset, block.length).toString('utf8').split('\n');
  if (lines.at(-1) === '') lines.pop();
  return lines;
}

/** The stream cut behind its line ends; the last block may end without one. */
export const wholeLines = (input: AsyncIterable<Uint8Array>): AsyncGenerator<Uint8Array> =>
  blocksOf(input, (byte) => byte === lineEnd);

/** ASCII white space: a line end, space, TAB or CR. */
const isSpace = (byte: number) => byte === lineEnd || byte === space || byte === 0x09 || byte === 0x0d;

/** The stream cut behind bytes where it may be, as late as each chunk has one; the last block may end anywhere. */
async function* blocksOf(
  input: AsyncIterable<Uint8Array>,
  mayEnd: (byte: number) => boolean,
): AsyncGenerator<Uint8Array> {
  let held: Uint8Array[] = [];
  for await (const chunk of input) {
    let end = chunk.length;
    while (end > 0 && !mayEnd(chunk[end - 1])) end--;
    if (end > 0) {
      yield held.length === 0 ? chunk.subarray(0, end) : Buffer.concat([...held, chunk.subarray(0, end)]);
      held = [];
    }
    if (end < chunk.length) held.push(chunk.subarray(end));
  }
  if (held.length > 0) yield Buffer.concat(held);
}
