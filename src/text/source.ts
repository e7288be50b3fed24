/**
 * Where a tokenizer is read from: a vocab.txt, a tokenizer.json, or the folder of a model. What the caller says of profile,
 * case and accents goes before what the files say.
 */
import { existsSync, readFileSync, statSync } from 'node:fs';
import path from 'node:path';
import { GalvaniError } from '../errors.js';
import {
  type Profile,
  profileNames,
  profiles,
  resolveSettings,
  type TokenizerOptions,
  type TokenizerSettings,
} from './profile.js';
import { readTokenizerJson } from './tokenizer-json.js';
import { Vocabulary } from './vocabulary.js';

export interface TokenizerSource {
  vocabulary: Vocabulary;
  settings: TokenizerSettings;
}

/** A folder is one, a name that ends in .json is a tokenizer.json, anything else a vocab.txt. @throws badInput, wrongUse */
export function readSource(source: string, options: TokenizerOptions = {}): TokenizerSource {
  if (statSync(source, { throwIfNoEntry: false })?.isDirectory()) return readFolder(source, options);
  return source.endsWith('.json') ? readJsonSource(source, options) : readLines(source, options);
}

export function readJsonSource(source: string | object, options: TokenizerOptions = {}): TokenizerSource {
  const file = readTokenizerJson(source, options.profile);
  return { vocabulary: file.vocabulary, settings: resolveSettings(withDefaults(options, file.options)) };
}

function readLines(file: string, options: TokenizerOptions): TokenizerSource {
  const settings = resolveSettings(options);
  return { vocabulary: Vocabulary.read(file, settings.profile), settings };
}

/**
 * tokenizer.json, else vocab.txt, with what tokenizer_config.json says of case, accents and profile.
 * Where it says nothing of case, tokenizer.json does (transformers 5 would lower-case), else text is lower-cased.
 */
export function readFolder(folder: string, options: TokenizerOptions): TokenizerSource {
  const file = (name: string) => path.join(folder, name);
  const told = withDefaults(
    options,
    existsSync(file('tokenizer_config.json')) ? readConfig(file('tokenizer_config.json')) : {},
  );
  // google-research's rules are those of a vocab.txt: a tokenizer.json speaks for tokenizers.
  const names = told.profile === 'electra' ? ['vocab.txt', 'tokenizer.json'] : ['tokenizer.json', 'vocab.txt'];
  const name = names.find((candidate) => existsSync(file(candidate)));
  if (name !== undefined) return readSource(file(name), told);
  throw new GalvaniError({
    stage: 'tokenizer',
    expected: 'a folder with a tokenizer.json or a vocab.txt',
    got: 'neither',
    where: folder,
    remedy: 'Put the vocab.txt that the model was trained with into the folder.',
    kind: 'badInput',
  });
}

/** The fields of a tokenizer_config.json that change ids. Files cannot say that ids are google-research's but in ours. */
function readConfig(file: string): TokenizerOptions {
  const fields = parseConfig(file);
  const refuse = (name: string, expected: string): never => {
    throw damaged(file, `${name} ${expected}`, JSON.stringify(fields[name]));
  };
  const flag = (name: string) => {
    const value = fields[name] ?? undefined;
    return value === undefined || typeof value === 'boolean' ? value : refuse(name, 'true, false or null');
  };
  if (flag('tokenize_chinese_chars') === false) refuse('tokenize_chinese_chars', 'true');
  const profile = fields.galvani_profile ?? undefined;
  if (profile !== undefined && !Object.hasOwn(profiles, String(profile))) {
    refuse('galvani_profile', profileNames.join(' or '));
  }
  return {
    profile: profile as Profile | undefined,
    lowercase: flag('do_lower_case'),
    stripAccents: flag('strip_accents'),
  };
}

function parseConfig(file: string): Record<string, unknown> {
  try {
    const fields: unknown = JSON.parse(readFileSync(file, 'utf8'));
    if (typeof fields === 'object' && fields !== null) return fields as Record<string, unknown>;
  } catch (cause) {
    throw damaged(file, 'a file of JSON', cause instanceof Error ? cause.message : String(cause), cause);
  }
  throw damaged(file, 'a JSON object', 'another value');
}

function damaged(where: string, expected: string, got: string, cause?: unknown): GalvaniError {
  return new GalvaniError({
    stage: 'tokenizer',
    expected,
    got,
    where,
    remedy: 'Mend the file, or give vocab.txt itself.',
    kind: 'badInput',
    cause,
  });
}

/** `given`, and where it says nothing, `defaults`. Accents go with the case that is in force, unless said. */
function withDefaults(given: TokenizerOptions, defaults: TokenizerOptions): TokenizerOptions {
  const isCaseGiven = given.lowercase !== undefined && given.lowercase !== defaults.lowercase;
  return {
    profile: given.profile ?? defaults.profile,
    lowercase: given.lowercase ?? defaults.lowercase,
    stripAccents: given.stripAccents ?? (isCaseGiven ? undefined : defaults.stripAccents),
  };
}
