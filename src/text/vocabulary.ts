/**
 * A WordPiece vocabulary: one piece a line, the line's number is the id.
 *
 * Read as the references do: tokenizers trims the end of each line, google-research/electra both ends; of two equal lines the
 * later one gives the id; an empty line is an id that no text yields. A byte order mark is part of the first piece, for them
 * too. Special tokens are found by their names.
 */
import { createHash } from 'node:crypto';
import { readFileSync } from 'node:fs';
import { GalvaniError } from '../errors.js';
import type { Profile } from './profile.js';

/** Names of the special tokens, as every BERT-like vocabulary has them. */
export const specialNames = ['[PAD]', '[UNK]', '[CLS]', '[SEP]', '[MASK]'] as const;
export type SpecialName = (typeof specialNames)[number];

/** White space that is trimmed: Rust's char::is_whitespace, and what Python's str.strip takes besides. */
const whiteSpace = '\\t\\n\\v\\f\\r \\x85\\xa0\\u1680\\u2000-\\u200a\\u2028\\u2029\\u202f\\u205f\\u3000';
const trailing = new RegExp(`[${whiteSpace}]+$`);
const bothEnds = new RegExp(`^[${whiteSpace}\\x1c-\\x1f]+|[${whiteSpace}\\x1c-\\x1f]+$`, 'g');

/** Whether graphic ASCII is at both ends: nothing to trim, as in nearly every line. */
function isPlain(line: string): boolean {
  const first = line.charCodeAt(0);
  const last = line.charCodeAt(line.length - 1);
  return first > 0x20 && first < 0x7f && last > 0x20 && last < 0x7f;
}

/** Ids are below this: a Map of the pieces holds no more, and neither does any vocabulary in use. */
export const maxPieces = 1 << 24;

export class Vocabulary {
  /** By id, duplicates included. */
  readonly pieces: readonly string[];
  /** A vocab.txt of these pieces: the file itself where they were read from one. */
  readonly bytes: Uint8Array;
  /** Hex SHA-256 of the bytes. */
  readonly sha256: string;
  /** Tokens that the `huggingface` profile cuts out of the raw text: the special tokens there are, or those of a tokenizer.json. */
  readonly addedTokens: readonly string[];
  readonly #ids = new Map<string, number>();

  private constructor(pieces: readonly string[], bytes: Uint8Array, where: string, addedTokens?: readonly string[]) {
    if (pieces.length > maxPieces) throw tooManyPieces(pieces.length, where);
    this.pieces = pieces;
    this.bytes = bytes;
    this.sha256 = createHash('sha256').update(bytes).digest('hex');
    pieces.forEach((piece, id) => {
      this.#ids.set(piece, id);
    });
    if (!this.#ids.has('[UNK]')) throw withoutUnknown(pieces, where);
    this.addedTokens = addedTokens ?? specialNames.filter((name) => this.#ids.has(name));
  }

  /** @throws badInput when the file is missing, not UTF-8, or has no [UNK]. */
  static read(path: string, profile: Profile = 'huggingface'): Vocabulary {
    return Vocabulary.parse(readBytes(path), profile, path);
  }

  /** `where` names the source in errors. */
  static parse(bytes: Uint8Array, profile: Profile = 'huggingface', where = 'vocabulary'): Vocabulary {
    if (bytes.length > maxPieces && countLines(bytes) > maxPieces) throw tooManyPieces(countLines(bytes), where);
    const lines = decodeText(bytes, where).split('\n');
    if (lines.at(-1) === '') lines.pop();
    const trimmed = profile === 'electra' ? bothEnds : trailing;
    const pieces = lines.map((line) => (isPlain(line) ? line : line.replace(trimmed, '')));
    return new Vocabulary(pieces, bytes, where);
  }

  /** Pieces in order of their ids. */
  static fromPieces(pieces: readonly string[], addedTokens?: readonly string[], where = 'pieces given'): Vocabulary {
    return new Vocabulary([...pieces], Buffer.from(pieces.map((piece) => `${piece}\n`).join('')), where, addedTokens);
  }

  /** Number of ids. */
  get size(): number {
    return this.pieces.length;
  }

  get unknownId(): number {
    return this.#ids.get('[UNK]') as number;
  }

  /** The later one's where two pieces are equal; undefined where there is none. */
  tokenToId(piece: string): number | undefined {
    return this.#ids.get(piece);
  }

  /** Undefined for an id outside the vocabulary. */
  idToToken(id: number): string | undefined {
    return this.pieces[id];
  }

  /** @throws badInput where the vocabulary has none of that name. */
  specialId(name: SpecialName): number {
    const id = this.#ids.get(name);
    if (id !== undefined) return id;
    throw new GalvaniError({
      stage: 'vocabulary',
      expected: `the special token ${name}`,
      got: `${this.size} pieces without it`,
      remedy: `Add the line ${name}, or use a vocabulary that has it.`,
      kind: 'badInput',
    });
  }
}

function readBytes(path: string): Uint8Array {
  try {
    return readFileSync(path);
  } catch (cause) {
    throw new GalvaniError({
      stage: 'vocabulary',
      expected: 'a readable vocab.txt',
      got: (cause as NodeJS.ErrnoException).code ?? String(cause),
      where: path,
      remedy: 'Check the path, or train a vocabulary with "galvani vocab".',
      kind: 'badInput',
      cause,
    });
  }
}

function countLines(bytes: Uint8Array): number {
  let count = 0;
  for (let at = bytes.indexOf(0x0a); at >= 0; at = bytes.indexOf(0x0a, at + 1)) count++;
  return bytes.length > 0 && bytes[bytes.length - 1] !== 0x0a ? count + 1 : count;
}

function tooManyPieces(count: number, where: string): GalvaniError {
  return new GalvaniError({
    stage: 'vocabulary',
    expected: `at most ${maxPieces} pieces, one a line`,
    got: String(count),
    where: `${where}, line ${maxPieces + 1}`,
    remedy: 'Check that this is a vocabulary and not a text.',
    kind: 'badInput',
  });
}

function withoutUnknown(pieces: readonly string[], where: string): GalvaniError {
  const hasMark = pieces.length > 0 && pieces[0].startsWith('\ufeff');
  return new GalvaniError({
    stage: 'vocabulary',
    expected: 'one piece a line, [UNK] among them',
    got: `${pieces.length} pieces without [UNK]${hasMark ? ', the first with a byte order mark' : ''}`,
    where,
    remedy: hasMark
      ? 'Remove the byte order mark: it is part of the first piece.'
      : 'Check that this is a WordPiece vocab.txt, or train one with "galvani vocab".',
    kind: 'badInput',
  });
}

function decodeText(bytes: Uint8Array, where: string): string {
  try {
    return new TextDecoder('utf-8', { fatal: true, ignoreBOM: true }).decode(bytes);
  } catch (cause) {
    throw new GalvaniError({
      stage: 'vocabulary',
      expected: 'UTF-8 text',
      got: `invalid bytes in line ${invalidLine(bytes)}`,
      where,
      remedy: 'Convert the file to UTF-8.',
      kind: 'badInput',
      cause,
    });
  }
}

function invalidLine(bytes: Uint8Array): number {
  const lines = Buffer.from(bytes).toString('utf8').split('\n');
  return lines.findIndex((line) => line.includes('\ufffd')) + 1;
}
