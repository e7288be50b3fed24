/**
 * The two originals, as the tests ask them: npm tokenizers for profile `huggingface`, and for profile `electra` its algorithm
 * on Python's own strings (electra-oracle.py), which is skipped where there is no Python with Unicode 14.
 */
import { spawnSync } from 'node:child_process';
import { createRequire } from 'node:module';
import { compileTextModule, WordPieceEncoder } from '../../src/text/encoder.js';
import { profiles, type TokenizerSettings } from '../../src/text/profile.js';
import { compileTables } from '../../src/text/tables.js';
import { specialNames, Vocabulary } from '../../src/text/vocabulary.js';

// The package is CommonJS whose names Node cannot see from outside.
export const huggingface = createRequire(import.meta.url)('tokenizers') as typeof import('tokenizers');

export const vocabPath = '../shared/data/vocab-uncased.txt';
export const vocabulary = Vocabulary.read(vocabPath);
export const textModule = compileTextModule();

/** All settings that each reference has. */
export const allSettings: TokenizerSettings[] = [
  { profile: 'huggingface', lowercase: true, stripAccents: true },
  { profile: 'huggingface', lowercase: true, stripAccents: false },
  { profile: 'huggingface', lowercase: false, stripAccents: false },
  { profile: 'huggingface', lowercase: false, stripAccents: true },
  { profile: 'electra', lowercase: true, stripAccents: true },
  { profile: 'electra', lowercase: true, stripAccents: false },
  { profile: 'electra', lowercase: false, stripAccents: false },
];

export function nameOf({ profile, lowercase, stripAccents }: TokenizerSettings): string {
  return `${profile}, ${lowercase ? 'uncased' : 'cased'}, accents ${stripAccents ? 'stripped' : 'kept'}`;
}

export function makeEncoder(settings: TokenizerSettings, pieces: Vocabulary = vocabulary): WordPieceEncoder {
  return new WordPieceEncoder(textModule, compileTables(pieces, settings));
}

/** How many random strings are compared for each setting; from a million on, all that there is of the rest. */
export const stringCount = Number(process.env.GALVANI_STRINGS ?? 4_000);
export const isExhaustive = stringCount >= 1_000_000;

/** Ranges of code points that are letters of `letterVocabulary`: all that any table of characters tells apart, but for ideographs. */
const letterRanges = [
  [0x21, 0x1ffff],
  [0x2a6d0, 0x2a70f],
  [0x2b730, 0x2b74f],
  [0x2b800, 0x2b930],
  [0x2cea0, 0x2ceb4],
  [0x2f800, 0x2fa1f],
  [0x30000, 0x30040],
  [0xe0000, 0xe01ff],
];

/**
 * bert-base-uncased's pieces, and every character as a piece that begins a word and one that goes on: ids then tell every
 * character of every word, where the pieces alone would hide most of them behind [UNK]. Its ids take four bytes in the cache.
 */
export function makeLetterVocabulary(): Vocabulary {
  const pieces = new Set(vocabulary.pieces);
  for (const [first, last] of letterRanges) {
    for (let code = first; code <= last; code++) {
      const letter = String.fromCodePoint(code);
      // What a vocabulary's reader would trim or could not hold is no part of any word.
      if (/[\s\p{Cc}\ufeff\ud800-\udfff]/u.test(letter)) continue;
      pieces.add(letter).add(`##${letter}`);
    }
  }
  return Vocabulary.fromPieces([...pieces]);
}

/** Words as the kernel splits them, joined by spaces. */
export function splitWords(encoder: WordPieceEncoder, text: string): string {
  const chunks = [...encoder.normalizedWords(Buffer.from(text))].map((chunk) => Buffer.from(chunk).toString());
  return chunks.join('').trimEnd().replaceAll('\n', ' ');
}

/** Words as tokenizers splits them, joined by spaces; words over the limit are left out, as the kernel does. */
export function makeHuggingfaceSplitter({ lowercase, stripAccents }: TokenizerSettings): (text: string) => string {
  const normalizer = huggingface.bertNormalizer({ cleanText: true, handleChineseChars: true, lowercase, stripAccents });
  const splitter = huggingface.bertPreTokenizer();
  return (text) =>
    splitter
      .preTokenizeString(normalizer.normalizeString(text))
      .map(([word]) => word)
      .filter((word) => word.length <= 100 || [...word].length <= profiles.huggingface.wordLimit)
      .join(' ');
}

/** The BERT pipeline of tokenizers. */
export function makeHuggingfaceTokenizer({ lowercase, stripAccents }: TokenizerSettings, pieces = vocabulary) {
  const ids = Object.fromEntries(pieces.pieces.map((piece, id) => [piece, id]));
  const model = huggingface.WordPiece.init(ids, { unkToken: '[UNK]', maxInputCharsPerWord: 100 });
  const tokenizer = new huggingface.Tokenizer(model);
  tokenizer.setNormalizer(
    huggingface.bertNormalizer({ cleanText: true, handleChineseChars: true, lowercase, stripAccents }),
  );
  tokenizer.setPreTokenizer(huggingface.bertPreTokenizer());
  tokenizer.addSpecialTokens([...specialNames]);
  return tokenizer;
}

/** Ids of many texts as tokenizers gives them. */
export function makeHuggingfaceEncoder(
  settings: TokenizerSettings,
  pieces: Vocabulary = vocabulary,
): (texts: string[]) => Promise<number[][]> {
  const tokenizer = makeHuggingfaceTokenizer(settings, pieces);
  return async (texts) =>
    (await tokenizer.encodeBatch(texts, { addSpecialTokens: false })).map((encoding) => encoding.getIds());
}

/** What electra-oracle.py answers to a request. */
export function askElectra<Answer>(request: Record<string, unknown>): Answer {
  const { status, stdout, stderr } = spawnSync('python3', ['test/text/electra-oracle.py'], {
    input: JSON.stringify(request),
    encoding: 'utf8',
    maxBuffer: 1 << 28,
  });
  if (status !== 0) throw new Error(`electra-oracle.py: ${stderr}`);
  return JSON.parse(stdout);
}

/** Ids of many texts as the settings' original gives them. `path` holds the pieces. */
export function makeReference(
  settings: TokenizerSettings,
  pieces: Vocabulary = vocabulary,
  path = vocabPath,
): (texts: string[]) => Promise<number[][]> {
  if (settings.profile === 'huggingface') return makeHuggingfaceEncoder(settings, pieces);
  return async (texts) => askElectra({ texts, vocab: path, ...settings });
}

/** Words of many texts as the settings' original splits them, joined by spaces. */
export function wordsOf(settings: TokenizerSettings, texts: string[]): string[] {
  if (settings.profile === 'huggingface') return texts.map(makeHuggingfaceSplitter(settings));
  return askElectra<string[][]>({ texts, ...settings }).map((words) => words.join(' '));
}

export function equalIds(ids: Uint32Array, expected: readonly number[]): boolean {
  return ids.length === expected.length && expected.every((id, i) => id === ids[i]);
}

/** Why the oracle of profile `electra` cannot be asked, or false. */
export function electraOracleMissing(): string | false {
  try {
    const version = askElectra<string>({ unicode: true });
    return version === '14.0.0' ? false : `python3 here has Unicode ${version}, the oracle needs 14.0.0 (Python 3.11)`;
  } catch {
    return 'there is no python3';
  }
}
