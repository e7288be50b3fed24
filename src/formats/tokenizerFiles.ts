/**
 * The tokenizer in a model folder: vocab.txt, tokenizer.json and tokenizer_config.json. Read by text/source.ts.
 *
 * tokenizer.json is what tokenizers 0.23 writes for ElectraTokenizerFast, byte for byte. Neither it nor vocab.txt can say
 * that ids are made by google-research's rules (profile `electra`), so tokenizer_config.json has a field for that, which
 * others ignore.
 */
import { access } from 'node:fs/promises';
import path from 'node:path';
import { z } from 'zod';
import { GalvaniError } from '../errors.js';
import { writeFileDurably } from '../files.js';
import { profiles, type TokenizerSettings } from '../text/profile.js';
import { Tokenizer } from '../text/tokenizer.js';
import { specialNames, type Vocabulary } from '../text/vocabulary.js';
import { readJson } from './json.js';

/** `maxLength`: most tokens that the model should be given at once. */
export async function writeTokenizerFiles(
  directory: string,
  { vocabulary, settings }: Pick<Tokenizer, 'vocabulary' | 'settings'>,
  maxLength: number,
): Promise<void> {
  if (vocabulary.specialId('[PAD]') !== 0) {
    throw new GalvaniError({
      stage: 'export',
      expected: '[PAD] to be id 0',
      got: `id ${vocabulary.specialId('[PAD]')}`,
      remedy: 'Models are padded with id 0; train with a vocabulary whose first line is [PAD].',
      kind: 'badInput',
    });
  }
  const write = (name: string, text: string) => writeFileDurably(path.join(directory, name), text);
  await write('vocab.txt', vocabulary.pieces.map((piece) => `${piece}\n`).join(''));
  await write('tokenizer.json', tokenizerText(vocabulary, settings));
  await write('tokenizer_config.json', configText(settings, maxLength));
}

export interface FolderTokenizer {
  readonly tokenizer: Tokenizer;
  /** Most tokens that the model should be given at once (`model_max_length`); may be any large number. */
  readonly maxLength: number;
}

/** The tokenizer of a model folder, its own or one that transformers wrote; nothing where the folder has no vocabulary. */
export async function readTokenizer(directory: string): Promise<FolderTokenizer | undefined> {
  const file = (name: string) => path.join(directory, name);
  if (!(await isThere(file('vocab.txt'))) && !(await isThere(file('tokenizer.json')))) return undefined;
  const tokenizer = await Tokenizer.fromFolder(directory);
  return { tokenizer, maxLength: await readMaxLength(file('tokenizer_config.json')) };
}

function tokenizerText(vocabulary: Vocabulary, settings: TokenizerSettings): string {
  const special = (id: string, type: number) => ({ SpecialToken: { id, type_id: type } });
  const sequence = (id: string, type: number) => ({ Sequence: { id, type_id: type } });
  const template = (name: '[CLS]' | '[SEP]') => ({ id: name, ids: [vocabulary.specialId(name)], tokens: [name] });
  const tokenizer = {
    version: '1.0',
    truncation: null,
    padding: null,
    added_tokens: specialNames
      .map((content) => ({ id: vocabulary.specialId(content), content, ...plainToken, special: true }))
      .sort((a, b) => a.id - b.id),
    normalizer: {
      type: 'BertNormalizer',
      clean_text: true,
      handle_chinese_chars: true,
      strip_accents: writtenStrip(settings),
      lowercase: settings.lowercase,
    },
    pre_tokenizer: { type: 'BertPreTokenizer' },
    post_processor: {
      type: 'TemplateProcessing',
      single: [special('[CLS]', 0), sequence('A', 0), special('[SEP]', 0)],
      pair: [special('[CLS]', 0), sequence('A', 0), special('[SEP]', 0), sequence('B', 1), special('[SEP]', 1)],
      special_tokens: { '[CLS]': template('[CLS]'), '[SEP]': template('[SEP]') },
    },
    decoder: { type: 'WordPiece', prefix: '##', cleanup: true },
    model: {
      type: 'WordPiece',
      unk_token: '[UNK]',
      continuing_subword_prefix: '##',
      max_input_chars_per_word: profiles[settings.profile].wordLimit,
      vocab: {},
    },
  };
  // Pieces such as "10" would be moved to the front of an object, so the last object is written by hand.
  const pieces = [...vocabulary.pieces.entries()]
    .filter(([id, piece]) => vocabulary.tokenToId(piece) === id)
    .map(([id, piece]) => `\n      ${JSON.stringify(piece)}: ${id}`);
  const text = JSON.stringify(tokenizer, null, 2);
  const at = text.lastIndexOf('{}');
  return `${text.slice(0, at)}{${pieces.join(',')}\n    }${text.slice(at + 2)}`;
}

const plainToken = { single_word: false, lstrip: false, rstrip: false, normalized: false };

/** null: as lowercase. */
function writtenStrip({ stripAccents, lowercase }: TokenizerSettings): boolean | null {
  return stripAccents === lowercase ? null : stripAccents;
}

function configText(settings: TokenizerSettings, maxLength: number): string {
  const config = {
    backend: 'tokenizers',
    cls_token: '[CLS]',
    do_lower_case: settings.lowercase,
    ...(settings.profile === 'huggingface' ? {} : { galvani_profile: settings.profile }),
    mask_token: '[MASK]',
    model_max_length: maxLength,
    pad_token: '[PAD]',
    sep_token: '[SEP]',
    strip_accents: writtenStrip(settings),
    tokenize_chinese_chars: true,
    tokenizer_class: 'BertTokenizer',
    unk_token: '[UNK]',
  };
  return `${JSON.stringify(config, null, 2)}\n`;
}

const lengthSchema = z.looseObject({ model_max_length: z.number().min(1).default(Number.POSITIVE_INFINITY) });

/** No limit where the file, or its field, is missing. */
async function readMaxLength(file: string): Promise<number> {
  const parsed = lengthSchema.safeParse((await isThere(file)) ? await readJson(file) : {});
  if (parsed.success) return parsed.data.model_max_length;
  throw new GalvaniError({
    stage: 'tokenizer',
    expected: 'model_max_length, a positive number',
    got: parsed.error.issues[0].message,
    where: file,
    remedy: 'Mend the file, or remove the field.',
    kind: 'badInput',
  });
}

async function isThere(file: string): Promise<boolean> {
  return access(file).then(
    () => true,
    () => false,
  );
}
