/**
 * Hugging Face's tokenizer.json, where it says what BERT does: a WordPiece model behind BertNormalizer and BertPreTokenizer.
 * Anything else is refused by the name that it has there, since its ids would not be those of the file. What it says of
 * truncation, padding and decoding is left alone: it changes no id of a text.
 *
 * Checked by hand: a schema library would take longer to load than the tokenizer.
 */
import { readFileSync } from 'node:fs';
import { isDeepStrictEqual } from 'node:util';
import { GalvaniError } from '../errors.js';
import { type Profile, profiles, type TokenizerOptions } from './profile.js';
import { maxPieces, Vocabulary } from './vocabulary.js';

export interface TokenizerJson {
  vocabulary: Vocabulary;
  /** What the file says of case and accents. */
  options: Pick<TokenizerOptions, 'lowercase' | 'stripAccents'>;
}

type Fields = Record<string, unknown>;

/**
 * @param source a path, or what JSON.parse made of such a file.
 * @throws badInput for a file that is missing, damaged, or of another kind.
 */
export function readTokenizerJson(source: string | object, profile: Profile = 'huggingface'): TokenizerJson {
  const [where, root] = typeof source === 'string' ? [source, parseFile(source)] : ['tokenizer.json', source as Fields];
  const reader = new Reader(root, where);
  checkModel(reader, profile);
  reader.expect('normalizer.type', 'BertNormalizer');
  reader.expect('normalizer.clean_text', true, true);
  reader.expect('normalizer.handle_chinese_chars', true, true);
  reader.expect('pre_tokenizer.type', 'BertPreTokenizer');
  checkFrame(reader);
  const added = readAddedTokens(reader);
  const pieces = placePieces(reader, added);
  const lowercase = reader.boolean('normalizer.lowercase', true);
  const stripAccents = reader.boolean('normalizer.strip_accents', lowercase);
  return { vocabulary: Vocabulary.fromPieces(pieces, [...added.keys()], where), options: { lowercase, stripAccents } };
}

/** One field of the file at a time, and the error that names it. */
class Reader {
  readonly where: string;
  readonly #root: unknown;

  constructor(root: unknown, where: string) {
    this.#root = root;
    this.where = where;
  }

  /** By its path, `model.vocab`; undefined where there is none, or null. */
  at(path: string): unknown {
    let value = this.#root;
    for (const name of path.split('.')) value = isFields(value) ? value[name] : undefined;
    return value ?? undefined;
  }

  expect(path: string, wanted: unknown, absent?: unknown): void {
    const value = this.at(path) ?? absent;
    if (value !== wanted) throw this.refuse(`${path} ${JSON.stringify(wanted)}`, describe(value));
  }

  boolean(path: string, absent: boolean): boolean {
    const value = this.at(path) ?? absent;
    if (typeof value !== 'boolean') throw this.refuse(`${path} true, false or null`, describe(value));
    return value;
  }

  refuse(expected: string, got: string): GalvaniError {
    return new GalvaniError({
      stage: 'tokenizer',
      expected,
      got,
      where: this.where,
      remedy: 'Galvani has WordPiece as BERT and ELECTRA use it: take the tokenizer.json or vocab.txt of such a model.',
      kind: 'badInput',
    });
  }
}

function checkModel(reader: Reader, profile: Profile): void {
  const type = reader.at('model.type');
  // Files of before 0.9 do not name the model; merges are those of BPE.
  const isUnnamed = type === undefined && reader.at('model.continuing_subword_prefix') !== undefined;
  if (!isUnnamed || reader.at('model.merges') !== undefined) reader.expect('model.type', 'WordPiece');
  reader.expect('model.unk_token', '[UNK]', '[UNK]');
  reader.expect('model.continuing_subword_prefix', '##', '##');
  // The file speaks for tokenizers; google-research's limit is fixed.
  if (profile === 'huggingface') {
    reader.expect('model.max_input_chars_per_word', profiles.huggingface.wordLimit, profiles.huggingface.wordLimit);
  }
}

/** [CLS] A [SEP] and [CLS] A [SEP] B [SEP], in either of the forms that say so, or nothing. */
function checkFrame(reader: Reader): void {
  const type = reader.at('post_processor.type');
  if (reader.at('post_processor') === undefined || type === 'BertProcessing') return;
  reader.expect('post_processor.type', 'TemplateProcessing');
  const special = (id: string, type_id: number) => ({ SpecialToken: { id, type_id } });
  const sequence = (id: string, type_id: number) => ({ Sequence: { id, type_id } });
  const single = [special('[CLS]', 0), sequence('A', 0), special('[SEP]', 0)];
  for (const [path, wanted] of Object.entries({
    'post_processor.single': single,
    'post_processor.pair': [...single, sequence('B', 1), special('[SEP]', 1)],
  })) {
    const got = reader.at(path);
    if (!isDeepStrictEqual(got, wanted)) throw reader.refuse(`${path} ${JSON.stringify(wanted)}`, describe(got));
  }
}

const flagsOfAddedTokens = { special: true, normalized: false, single_word: false, lstrip: false, rstrip: false };

/** By name, in order of the file. */
function readAddedTokens(reader: Reader): Map<string, number> {
  const list = reader.at('added_tokens') ?? [];
  if (!Array.isArray(list)) throw reader.refuse('a list of added_tokens', describe(list));
  const added = new Map<string, number>();
  for (const token of list as unknown[]) {
    const { content, id, ...flags } = isFields(token) ? token : {};
    if (typeof content !== 'string' || !isId(id)) {
      throw reader.refuse('added_tokens with content and id', describe(token));
    }
    for (const [name, wanted] of Object.entries(flagsOfAddedTokens)) {
      if (flags[name] !== wanted) {
        throw reader.refuse(`the added token ${describe(content)} with "${name}": ${wanted}`, describe(flags[name]));
      }
    }
    // The kernel looks for special tokens where a bracket is, eight bytes at once.
    if (!/^\[[!-~]{0,7}$/.test(content)) {
      throw reader.refuse('added tokens of at most eight ASCII characters that begin with [', describe(content));
    }
    added.set(content, id);
  }
  return added;
}

/** Pieces in order of their ids; an id that no piece has is an empty line, as in a vocab.txt. */
function placePieces(reader: Reader, added: Map<string, number>): string[] {
  const vocab = reader.at('model.vocab');
  if (!isFields(vocab)) throw reader.refuse('model.vocab, an id for each piece', describe(vocab));
  const pieces: string[] = [];
  const place = (piece: string, id: unknown) => {
    if (!isId(id)) throw reader.refuse(`ids below ${maxPieces}`, `${describe(id)} for ${describe(piece)}`);
    if (pieces[id] !== undefined && pieces[id] !== piece) {
      throw reader.refuse('one piece an id', `${describe(pieces[id])} and ${describe(piece)} with id ${id}`);
    }
    if (piece.includes('\n')) throw reader.refuse('pieces without line ends', describe(piece));
    pieces[id] = piece;
  };
  for (const piece in vocab) place(piece, vocab[piece]);
  for (const [content, id] of added) {
    const known = Object.hasOwn(vocab, content) ? vocab[content] : id;
    if (known !== id) throw reader.refuse(`the added token ${content} with its id ${known}`, String(id));
    place(content, id);
  }
  return Array.from(pieces, (piece) => piece ?? '');
}

function parseFile(path: string): unknown {
  try {
    return JSON.parse(readFileSync(path, 'utf8'));
  } catch (cause) {
    throw new GalvaniError({
      stage: 'tokenizer',
      expected: 'a readable tokenizer.json',
      got: cause instanceof Error ? cause.message : String(cause),
      where: path,
      remedy: 'Check the path, or take another copy of the file.',
      kind: 'badInput',
      cause,
    });
  }
}

const isFields = (value: unknown): value is Fields => typeof value === 'object' && value !== null;

const isId = (value: unknown): value is number =>
  Number.isInteger(value) && (value as number) >= 0 && (value as number) < maxPieces;

/** As JSON has it, the end of a long one left out. */
function describe(value: unknown): string {
  const text = value === undefined ? 'nothing' : JSON.stringify(value);
  return text.length > 80 ? `${text.slice(0, 80)}…` : text;
}
