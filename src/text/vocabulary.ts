/**
 * A WordPiece vocabulary: one piece a line, the line's number is the id.
 *
 * Read as the references do: tokenizers trims the end of each line, google-research/electra both ends; of two equal lines the
 * later one gives the id; an empty line is an id that no text yields. Special tokens are found by their names.
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

/** No id may reach the marks of the kernel's tables, and ids are kept as 31 bits there. */
const maxPieces = 0x7fffffff;

export class Vocabulary {
  /** By id, duplicates included. */
  readonly pieces: readonly string[];
  /** Hex SHA-256 of the file's bytes, or of the pieces joined by line ends. */
  readonly sha256: string;
  readonly #ids = new Map<string, number>();

  private constructor(pieces: readonly string[], sha256: string, where: string) {
    this.pieces = pieces;
    this.sha256 = sha256;
    pieces.forEach((piece, id) => {
      this.#ids.set(piece, id);
    });
    if (pieces.length > maxPieces || !this.#ids.has('[UNK]')) {
      throw new GalvaniError({
        stage: 'vocabulary',
        expected: 'one piece a line, [UNK] among them',
        got: `${pieces.length} pieces${this.#ids.has('[UNK]') ? '' : ' without [UNK]'}`,
        where,
        remedy: 'Check that this is a WordPiece vocab.txt, or train one with "galvani vocab".',
        kind: 'badInput',
      });
    }
  }

  /** @throws badInput when the file is missing, not UTF-8, or has no [UNK]. */
  static read(path: string, profile: Profile = 'huggingface'): Vocabulary {
    return Vocabulary.parse(readBytes(path), profile, path);
  }

  /** `where` names the source in errors. */
  static parse(bytes: Uint8Array, profile: Profile = 'huggingface', where = 'vocabulary'): Vocabulary {
    const sha256 = createHash('sha256').update(bytes).digest('hex');
    const lines = decodeText(bytes, where).split('\n');
    if (lines.at(-1) === '') lines.pop();
    const pieces = lines.map((line) =>
      profile === 'electra' ? line.replace(bothEnds, '') : line.replace(trailing, ''),
    );
    return new Vocabulary(pieces, sha256, where);
  }

  static fromPieces(pieces: readonly string[]): Vocabulary {
    const sha256 = createHash('sha256')
      .update(pieces.map((piece) => `${piece}\n`).join(''))
      .digest('hex');
    return new Vocabulary([...pieces], sha256, 'pieces given');
  }

  get size(): number {
    return this.pieces.length;
  }

  get unknownId(): number {
    return this.#ids.get('[UNK]') as number;
  }

  tokenToId(piece: string): number | undefined {
    return this.#ids.get(piece);
  }

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
      got: cause instanceof Error ? cause.message : String(cause),
      where: path,
      remedy: 'Check the path.',
      kind: 'badInput',
      cause,
    });
  }
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
