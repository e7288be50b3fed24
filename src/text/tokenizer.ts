/**
 * Text → WordPiece ids and back: what a program imports from `galvani/tokenizer`. Light: the text module and one vocabulary.
 *
 *   const tokenizer = await Tokenizer.fromVocab('vocab.txt', { profile: 'huggingface', lowercase: true });
 *   tokenizer.encode('It works.');                      // Uint32Array of ids
 *   tokenizer.encodeWithOffsets('It works.');           // … with the place of each in the text
 *   tokenizer.encodePair('Does it?', 'It does.');       // [CLS] … [SEP] … [SEP], with type ids
 *
 * Ids equal those of the profile's reference for every text (see profile.ts). Source of the promise: test/text.
 */
import { GalvaniError } from '../errors.js';
import { compileTextModule, type EncodedLines, type IdsWithOffsets, WordPieceEncoder } from './encoder.js';
import { frame, roomIn, type Truncation, truncatedLengths } from './pairs.js';
import { resolveSettings, type TokenizerOptions, type TokenizerSettings } from './profile.js';
import { readFolder, readJsonSource, readSource, type TokenizerSource } from './source.js';
import { compileTables } from './tables.js';
import { Vocabulary } from './vocabulary.js';

export type { EncodedLines, IdsWithOffsets } from './encoder.js';
export type { Truncation } from './pairs.js';
export type { Profile, TokenizerOptions, TokenizerSettings } from './profile.js';
export { Vocabulary } from './vocabulary.js';

export interface EncodeOptions {
  /** Put [CLS] before and [SEP] behind. Default false. */
  specialTokens?: boolean;
  /** Most tokens, special ones included; what is beyond is cut off the end. Default: no limit. */
  maxLength?: number;
}

export interface PairOptions {
  /** [CLS] first [SEP] second [SEP]. Default true: nothing else tells the two apart. */
  specialTokens?: boolean;
  /** Most tokens of both together, special ones included. Default: no limit. */
  maxLength?: number;
  /** Which of the two is cut, at its end, to fit `maxLength`. Default `longest_first`. */
  truncation?: Truncation;
}

export interface EncodedPair {
  ids: Uint32Array;
  /** For each id 0 or 1: the first text with [CLS] and its [SEP], or the second with its own. */
  typeIds: Uint32Array;
}

export interface DecodeOptions {
  /** Leave special tokens out. Default false. */
  skipSpecialTokens?: boolean;
  /** No space before . ? ! and , as Hugging Face's decoder has it. Default true. */
  cleanUp?: boolean;
}

type Text = string | Uint8Array;

let compiled: WebAssembly.Module | undefined;

/**
 * One vocabulary with one instance of the kernel. Texts are strings or UTF-8: invalid bytes are dropped, a lone surrogate
 * counts as U+FFFD, and neither yields anything. Arrays that methods return are the caller's unless they say otherwise.
 */
export class Tokenizer {
  readonly vocabulary: Vocabulary;
  readonly settings: TokenizerSettings;
  readonly #encoder: WordPieceEncoder;

  private constructor({ vocabulary, settings }: TokenizerSource) {
    compiled ??= compileTextModule();
    this.vocabulary = vocabulary;
    this.settings = settings;
    this.#encoder = new WordPieceEncoder(compiled, compileTables(vocabulary, settings));
  }

  /**
   * From a vocab.txt, its pieces in order of their ids, or a Vocabulary.
   * @throws badInput for a file that is missing, not UTF-8 or without [UNK]; wrongUse for settings the reference does not have.
   */
  static async fromVocab(
    source: string | readonly string[] | Vocabulary,
    options: TokenizerOptions = {},
  ): Promise<Tokenizer> {
    const settings = resolveSettings(options);
    if (source instanceof Vocabulary) return new Tokenizer({ vocabulary: source, settings });
    const vocabulary =
      typeof source === 'string' ? Vocabulary.read(source, settings.profile) : Vocabulary.fromPieces(source);
    return new Tokenizer({ vocabulary, settings });
  }

  /**
   * From Hugging Face's tokenizer.json, by its path or parsed. It says what becomes of case and accents; `options` go before
   * it. Its truncation and padding are not taken over: say `maxLength`.
   * @throws badInput for a file that is missing, damaged, or not BERT's WordPiece: the error names what it is.
   */
  static async fromTokenizerJson(source: string | object, options: TokenizerOptions = {}): Promise<Tokenizer> {
    return new Tokenizer(readJsonSource(source, options));
  }

  /**
   * From the folder of a model: its tokenizer.json, else its vocab.txt, and what its tokenizer_config.json says of case and
   * accents. `options` go before all of them.
   * @throws badInput where there is neither, or for a file that is damaged or of another kind.
   */
  static async fromFolder(folder: string, options: TokenizerOptions = {}): Promise<Tokenizer> {
    return new Tokenizer(readFolder(folder, options));
  }

  /** From any of these: a folder, a file whose name ends in .json, or a vocab.txt. @throws as they do. */
  static async open(path: string, options: TokenizerOptions = {}): Promise<Tokenizer> {
    return new Tokenizer(readSource(path, options));
  }

  /** Number of ids. */
  get size(): number {
    return this.vocabulary.size;
  }

  /** Ids of a text. @throws wrongUse for a `maxLength` without room; badInput for a vocabulary without [CLS] and [SEP]. */
  encode(text: Text, options: EncodeOptions = {}): Uint32Array {
    const ids = typeof text === 'string' ? this.#encoder.encodeString(text) : this.#encoder.encodeBytes(text);
    const kept = ids.slice(0, lengthOf(ids, options));
    return options.specialTokens ? frame(kept, undefined, ...this.#frameIds()) : kept;
  }

  /** Ids of many lines in one call, the fastest way. The views are valid until the tokenizer's next call. */
  encodeLines(bytes: Uint8Array): EncodedLines {
    return this.#encoder.encodeLines(bytes);
  }

  /** As `encode`, for each text. */
  encodeBatch(texts: readonly Text[], options: EncodeOptions = {}): Uint32Array[] {
    return texts.map((text) => this.encode(text, options));
  }

  /** Ids of two texts in one row. @throws as `encode`, and wrongUse where the text that is to be cut is too short for it. */
  encodePair(first: Text, second: Text, options: PairOptions = {}): EncodedPair {
    const ids = [this.encode(first), this.encode(second)];
    const lengths = lengthsOf(ids, options);
    const [a, b] = ids.map((part, i) => part.subarray(0, lengths[i]));
    if (options.specialTokens === false) return { ids: join(a, b), typeIds: join(zeros(a), ones(b)) };
    return { ids: frame(a, b, ...this.#frameIds()), typeIds: typeIdsOf(a, b) };
  }

  /**
   * Ids of a text, and for each the UTF-16 units [start, end) of the text that it was made of: the smallest range that holds
   * its characters. What was dropped belongs to a piece only inside it, and so does a stripped accent that is a character of
   * its own. Special tokens that were put in have start and end 0. Offsets of bytes count in the text without its invalid
   * bytes. A sixth to a fifth of the speed of `encode`.
   * Differs from tokenizers 0.23.2 where marks are reordered: there it names other marks than those of the piece.
   */
  encodeWithOffsets(text: Text, options: EncodeOptions = {}): IdsWithOffsets {
    const encoded = this.#locate(text);
    const length = lengthOf(encoded.ids, options);
    const [ids, starts, ends] = columnsOf(encoded, length);
    if (!options.specialTokens) return { ids, starts, ends };
    return {
      ids: frame(ids, undefined, ...this.#frameIds()),
      starts: frame(starts, undefined, 0, 0),
      ends: frame(ends, undefined, 0, 0),
    };
  }

  /** As `encodePair` and `encodeWithOffsets`: offsets count in the text that the type id names. */
  encodePairWithOffsets(first: Text, second: Text, options: PairOptions = {}): EncodedPair & IdsWithOffsets {
    const encoded = [this.#locate(first), this.#locate(second)];
    const lengths = lengthsOf(
      encoded.map(({ ids }) => ids),
      options,
    );
    const [a, b] = encoded.map((part, i) => columnsOf(part, lengths[i]));
    if (options.specialTokens === false) {
      const [ids, starts, ends] = a.map((column, i) => join(column, b[i]));
      return { ids, starts, ends, typeIds: join(zeros(a[0]), ones(b[0])) };
    }
    const edges = [this.#frameIds(), [0, 0], [0, 0]];
    const [ids, starts, ends] = a.map((column, i) => frame(column, b[i], edges[i][0], edges[i][1]));
    return { ids, starts, ends, typeIds: typeIdsOf(a[0], b[0]) };
  }

  /**
   * Text of ids: pieces joined by spaces, continuing (##) pieces without, as Hugging Face's WordPiece decoder does it.
   * What normalisation took away does not come back. @throws wrongUse for an id outside the vocabulary.
   */
  decode(ids: Iterable<number>, { skipSpecialTokens = false, cleanUp = true }: DecodeOptions = {}): string {
    const skipped = new Set(skipSpecialTokens ? this.vocabulary.addedTokens : []);
    let text = '';
    let isFirst = true;
    for (const id of ids) {
      const piece = this.idToToken(id);
      if (piece === undefined) throw unknownId(id, this.size);
      if (skipped.has(piece)) continue;
      const joined = isFirst ? piece : piece.startsWith('##') ? piece.slice(2) : ` ${piece}`;
      text += cleanUp ? joined.replace(spaceBefore, '$1') : joined;
      isFirst = false;
    }
    return text;
  }

  /** Undefined for an id outside the vocabulary. */
  idToToken(id: number): string | undefined {
    return this.vocabulary.idToToken(id);
  }

  /** Undefined for a token that the vocabulary does not have. */
  tokenToId(token: string): number | undefined {
    return this.vocabulary.tokenToId(token);
  }

  #frameIds(): [edge: number, divider: number] {
    return [this.vocabulary.specialId('[CLS]'), this.vocabulary.specialId('[SEP]')];
  }

  #locate(text: Text): IdsWithOffsets {
    return this.#encoder.encodeWithOffsets(typeof text === 'string' ? Buffer.from(text) : text);
  }
}

/** What WordPiece's decoder joins to the word before it. Source: tokenizers 0.23.2, decoders/wordpiece.rs, `cleanup`. */
const spaceBefore = / ([.?!,]|n't|'m|'s|'ve|'re)/g;

const singleFrame = 2; // [CLS] and [SEP]
const pairFrame = 3;

/** How many of the ids stay. */
function lengthOf(ids: Uint32Array, { maxLength, specialTokens = false }: EncodeOptions): number {
  return maxLength === undefined
    ? ids.length
    : Math.min(ids.length, roomIn(maxLength, specialTokens ? singleFrame : 0));
}

function lengthsOf(ids: Uint32Array[], options: PairOptions): number[] {
  const { maxLength, specialTokens = true, truncation = 'longest_first' } = options;
  if (maxLength === undefined) return ids.map((part) => part.length);
  const room = roomIn(maxLength, specialTokens ? pairFrame : 0);
  return truncatedLengths(ids[0].length, ids[1].length, room, maxLength, truncation);
}

function columnsOf({ ids, starts, ends }: IdsWithOffsets, length: number): Uint32Array[] {
  return [ids, starts, ends].map((column) => column.subarray(0, length));
}

function typeIdsOf(first: Uint32Array, second: Uint32Array): Uint32Array {
  const typeIds = frame(zeros(first), ones(second), 0, 0);
  typeIds[typeIds.length - 1] = 1;
  return typeIds;
}

const zeros = (like: Uint32Array) => new Uint32Array(like.length);
const ones = (like: Uint32Array) => new Uint32Array(like.length).fill(1);

function join(first: Uint32Array, second: Uint32Array): Uint32Array {
  const joined = new Uint32Array(first.length + second.length);
  joined.set(first);
  joined.set(second, first.length);
  return joined;
}

function unknownId(id: number, size: number): GalvaniError {
  return new GalvaniError({
    stage: 'decode',
    expected: `ids below ${size}`,
    got: String(id),
    remedy: 'Decode with the vocabulary that the ids were made with.',
    kind: 'wrongUse',
  });
}
