/**
 * Text → WordPiece ids and back: what a program imports from `galvani/tokenizer`. Light: the text module and one vocabulary.
 *
 *   const tokenizer = await Tokenizer.fromVocab('vocab.txt', { profile: 'huggingface', lowercase: true });
 *   tokenizer.encode('It works.');   // Uint32Array of ids
 *
 * Ids equal those of the profile's reference for every text (see profile.ts). Source of the promise: test/text.
 */
import { GalvaniError } from '../errors.js';
import { compileTextModule, type EncodedLines, WordPieceEncoder } from './encoder.js';
import { resolveSettings, type TokenizerOptions, type TokenizerSettings } from './profile.js';
import { compileTables } from './tables.js';
import { Vocabulary } from './vocabulary.js';

export type { EncodedLines } from './encoder.js';
export type { Profile, TokenizerOptions, TokenizerSettings } from './profile.js';
export { Vocabulary } from './vocabulary.js';

export interface EncodeOptions {
  /** Put [CLS] before and [SEP] behind. Default false. */
  specialTokens?: boolean;
}

let compiled: WebAssembly.Module | undefined;

export class Tokenizer {
  readonly vocabulary: Vocabulary;
  readonly settings: TokenizerSettings;
  readonly #encoder: WordPieceEncoder;

  private constructor(vocabulary: Vocabulary, settings: TokenizerSettings) {
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
    if (source instanceof Vocabulary) return new Tokenizer(source, settings);
    const vocabulary =
      typeof source === 'string' ? Vocabulary.read(source, settings.profile) : Vocabulary.fromPieces(source);
    return new Tokenizer(vocabulary, settings);
  }

  /** Number of ids. */
  get size(): number {
    return this.vocabulary.size;
  }

  /** Ids of a text. Bytes are UTF-8, invalid ones are dropped; a lone surrogate of a string counts as U+FFFD (dropped too). */
  encode(text: string | Uint8Array, { specialTokens = false }: EncodeOptions = {}): Uint32Array {
    const ids = typeof text === 'string' ? this.#encoder.encodeString(text) : this.#encoder.encodeBytes(text);
    if (!specialTokens) return ids.slice();
    const framed = new Uint32Array(ids.length + 2);
    framed[0] = this.vocabulary.specialId('[CLS]');
    framed.set(ids, 1);
    framed[ids.length + 1] = this.vocabulary.specialId('[SEP]');
    return framed;
  }

  /** Ids of many lines in one call, the fastest way. The views are valid until the tokenizer's next call. */
  encodeLines(bytes: Uint8Array): EncodedLines {
    return this.#encoder.encodeLines(bytes);
  }

  encodeBatch(texts: readonly (string | Uint8Array)[], options: EncodeOptions = {}): Uint32Array[] {
    return texts.map((text) => this.encode(text, options));
  }

  /** Pieces joined by spaces, continuing (##) pieces without. @throws wrongUse for an id outside the vocabulary. */
  decode(ids: Iterable<number>): string {
    let text = '';
    for (const id of ids) {
      const piece = this.idToToken(id);
      if (piece === undefined) {
        throw new GalvaniError({
          stage: 'decode',
          expected: `ids below ${this.size}`,
          got: String(id),
          remedy: 'Decode with the vocabulary that the ids were made with.',
          kind: 'wrongUse',
        });
      }
      if (text !== '' && piece.startsWith('##')) text += piece.slice(2);
      else text += text === '' ? piece : ` ${piece}`;
    }
    return text;
  }

  idToToken(id: number): string | undefined {
    return this.vocabulary.idToToken(id);
  }

  tokenToId(token: string): number | undefined {
    return this.vocabulary.tokenToId(token);
  }
}
