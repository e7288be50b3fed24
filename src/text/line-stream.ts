/**
 * A line in, a line out: text or JSON strings from a stream → ids or pieces as text, a block of whole lines at a time.
 * Memory: the longest line and a block, never the whole input.
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
): AsyncGenerator<string> {
  const names = tokenizer.vocabulary.pieces.map((piece, id) =>
    tokens ? (jsonl ? JSON.stringify(piece) : piece) : `${id}`,
  );
  const separator = jsonl ? ',' : ' ';
  let line = 1;
  for await (const block of wholeLines(input)) {
    const text = jsonl ? readStrings(block, where, line) : undefined;
    const lists = text === undefined ? listLines(tokenizer, block) : text.map((string) => tokenizer.encode(string));
    let out = '';
    for (const ids of lists) {
      const joined = joinNames(ids, names, separator);
      out += jsonl ? `[${joined}]\n` : `${joined}\n`;
      line++;
    }
    yield out;
  }
}

function* listLines(tokenizer: Tokenizer, block: Uint8Array): Generator<Uint32Array> {
  const { ids, lineEnds } = tokenizer.encodeLines(block);
  for (let i = 0, start = 0; i < lineEnds.length; start = lineEnds[i++]) yield ids.subarray(start, lineEnds[i]);
}

function joinNames(ids: Uint32Array, names: readonly string[], separator: string): string {
  let text = '';
  for (let i = 0; i < ids.length; i++) text += i === 0 ? names[ids[i]] : separator + names[ids[i]];
  return text;
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
export async function* wholeLines(input: AsyncIterable<Uint8Array>): AsyncGenerator<Uint8Array> {
  let held: Uint8Array[] = []; // the beginning of a line that has not ended
  for await (const chunk of input) {
    const end = chunk.lastIndexOf(0x0a) + 1;
    if (end > 0) {
      yield held.length === 0 ? chunk.subarray(0, end) : Buffer.concat([...held, chunk.subarray(0, end)]);
      held = [];
    }
    if (end < chunk.length) held.push(chunk.subarray(end));
  }
  if (held.length > 0) yield Buffer.concat(held);
}
