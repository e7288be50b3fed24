/** tokenizer.json, model folders and vocabularies: read as npm tokenizers reads them, or refused by the name of what is wrong. */
import assert from 'node:assert/strict';
import { mkdirSync, mkdtempSync, readFileSync, rmSync, writeFileSync } from 'node:fs';
import os from 'node:os';
import path from 'node:path';
import { after, test } from 'node:test';
import { GalvaniError } from '../../src/errors.js';
import { drawWord, keyOfSeed } from '../../src/random/philox.js';
import { Tokenizer } from '../../src/text/tokenizer.js';
import { readTokenizerJson } from '../../src/text/tokenizer-json.js';
import { maxPieces, Vocabulary } from '../../src/text/vocabulary.js';
import { huggingface, vocabPath, vocabulary } from './oracles.js';

const folder = mkdtempSync(path.join(os.tmpdir(), 'galvani-source-'));
after(() => rmSync(folder, { recursive: true }));

// biome-ignore lint/suspicious/noExplicitAny: cases change any field of a foreign file
type Json = any;

const special = { single_word: false, lstrip: false, rstrip: false, normalized: false, special: true };
const added = ['[PAD]', '[UNK]', '[CLS]', '[SEP]', '[MASK]'].map((content) => ({
  id: vocabulary.tokenToId(content),
  content,
  ...special,
}));

/** bert-base-uncased's, changed by a case. */
function bertJson(change: (json: Json) => void = () => {}): Json {
  const json: Json = {
    version: '1.0',
    truncation: { max_length: 4, strategy: 'LongestFirst', stride: 0, direction: 'Right' },
    padding: null,
    added_tokens: structuredClone(added),
    normalizer: {
      type: 'BertNormalizer',
      clean_text: true,
      handle_chinese_chars: true,
      strip_accents: null,
      lowercase: true,
    },
    pre_tokenizer: { type: 'BertPreTokenizer' },
    post_processor: { type: 'BertProcessing', sep: ['[SEP]', 102], cls: ['[CLS]', 101] },
    decoder: { type: 'WordPiece', prefix: '##', cleanup: true },
    model: {
      type: 'WordPiece',
      unk_token: '[UNK]',
      continuing_subword_prefix: '##',
      max_input_chars_per_word: 100,
      vocab: Object.fromEntries(vocabulary.pieces.map((piece, id) => [piece, id])),
    },
  };
  change(json);
  return json;
}

function write(name: string, content: string | Buffer): string {
  const file = path.join(folder, name);
  mkdirSync(path.dirname(file), { recursive: true });
  writeFileSync(file, content);
  return file;
}

const refuses = (message: RegExp) => (error: unknown) =>
  error instanceof GalvaniError && error.kind === 'badInput' && message.test(error.message);

const parityTexts: string[] = JSON.parse(readFileSync('../shared/data/tokenizer-parity.json', 'utf8')).map(
  ({ text }: { text: string }) => text,
);

const accepted: Record<string, (json: Json) => void> = {
  uncased: () => {},
  cased: ({ normalizer }) => {
    normalizer.lowercase = false;
  },
  'uncased, accents kept': ({ normalizer }) => {
    normalizer.strip_accents = false;
  },
  'cased, accents stripped': ({ normalizer }) => {
    normalizer.lowercase = false;
    normalizer.strip_accents = true;
  },
  'the model not named, as in old files': ({ model }) => {
    delete model.type;
  },
  'no special token cut from a text': (json) => {
    json.added_tokens = [];
  },
  'an added token of its own': (json) => {
    json.added_tokens.push({ id: vocabulary.size, content: '[ENT]', ...special });
  },
  'added tokens that begin alike, and that end in a letter': (json) => {
    ['[A', '[A]', '[A]b', '[[A', '[9,x', '['].forEach((content, i) => {
      const known = json.model.vocab[content];
      json.added_tokens.push({ id: known ?? vocabulary.size + i, content, ...special });
    });
  },
};

/** Added tokens whole and broken, with what may stand around them. */
const bracketTexts = Array.from({ length: 2_000 }, (_, n) => {
  const parts = [
    '[',
    'A',
    ']',
    'b',
    '[A]',
    '[A]b',
    '9',
    ',',
    'x',
    ' ',
    'é',
    '中',
    '\u0301',
    '[ENT]',
    '[MASK]',
    'ab',
    '\n',
  ];
  const key = keyOfSeed(51);
  return Array.from({ length: 1 + (n % 12) }, (_, i) => parts[drawWord(key, 0, n, i) % parts.length]).join('');
});

for (const [name, change] of Object.entries(accepted)) {
  test(`tokenizer.json gives the ids that tokenizers gives: ${name}`, async () => {
    const json = bertJson(change);
    const tokenizer = await Tokenizer.fromTokenizerJson(json);
    json.truncation = null;
    const reference = huggingface.Tokenizer.fromString(JSON.stringify(json));
    assert.equal(tokenizer.size, reference.getVocabSize());
    const texts = [...parityTexts, ...bracketTexts];
    const encodings = await reference.encodeBatch(texts, { addSpecialTokens: false });
    texts.forEach((text, n) => {
      assert.deepEqual([...tokenizer.encode(text)], encodings[n].getIds(), JSON.stringify(text.slice(0, 200)));
      assert.deepEqual(
        tokenizer.encodeWithOffsets(text).ids,
        tokenizer.encode(text),
        JSON.stringify(text.slice(0, 200)),
      );
    });
  });
}

const refused: [RegExp, (json: Json) => void][] = [
  [
    /expected model\.type "WordPiece", got "BPE" \(tokenizer\.json\)\. Galvani has WordPiece/,
    ({ model }) => {
      model.type = 'BPE';
    },
  ],
  [
    /model\.type "WordPiece", got "Unigram"/,
    ({ model }) => {
      model.type = 'Unigram';
    },
  ],
  [
    /model\.type "WordPiece", got nothing/,
    ({ model }) => {
      delete model.type;
      model.merges = [];
    },
  ],
  [
    /continuing_subword_prefix "##", got "@@"/,
    ({ model }) => {
      model.continuing_subword_prefix = '@@';
    },
  ],
  [
    /unk_token "\[UNK\]", got "<unk>"/,
    ({ model }) => {
      model.unk_token = '<unk>';
    },
  ],
  [
    /max_input_chars_per_word 100, got 200/,
    ({ model }) => {
      model.max_input_chars_per_word = 200;
    },
  ],
  [
    /normalizer\.type "BertNormalizer", got "Sequence"/,
    ({ normalizer }) => {
      normalizer.type = 'Sequence';
    },
  ],
  [
    /normalizer\.type "BertNormalizer", got nothing/,
    (json) => {
      json.normalizer = null;
    },
  ],
  [
    /clean_text true, got false/,
    ({ normalizer }) => {
      normalizer.clean_text = false;
    },
  ],
  [
    /handle_chinese_chars true, got false/,
    ({ normalizer }) => {
      normalizer.handle_chinese_chars = false;
    },
  ],
  [
    /lowercase true, false or null, got "yes"/,
    ({ normalizer }) => {
      normalizer.lowercase = 'yes';
    },
  ],
  [
    /pre_tokenizer\.type "BertPreTokenizer", got "ByteLevel"/,
    (json) => {
      json.pre_tokenizer.type = 'ByteLevel';
    },
  ],
  [
    /post_processor\.type "TemplateProcessing", got "RobertaProcessing"/,
    (json) => {
      json.post_processor.type = 'RobertaProcessing';
    },
  ],
  [
    /post_processor\.single \[.*, got \[\]/,
    (json) => {
      json.post_processor = { type: 'TemplateProcessing', single: [] };
    },
  ],
  [
    /added token "\[MASK\]" with "lstrip": false, got true/,
    (json) => {
      json.added_tokens[4].lstrip = true;
    },
  ],
  [
    /eight ASCII characters that begin with \[, got "<mask>"/,
    (json) => {
      json.added_tokens[4] = { id: vocabulary.size, content: '<mask>', ...special };
    },
  ],
  [
    /the added token \[MASK\] with its id 103, got 7/,
    (json) => {
      json.added_tokens[4].id = 7;
    },
  ],
  [
    /one piece an id, got "hello" and "hellooo" with id 7592/,
    ({ model }) => {
      model.vocab.hellooo = model.vocab.hello;
    },
  ],
  [
    /ids below 16777216, got 4294967296 for "far"/,
    ({ model }) => {
      model.vocab.far = 2 ** 32;
    },
  ],
  [
    /pieces without \[UNK\]/,
    (json) => {
      delete json.model.vocab['[UNK]'];
      json.added_tokens = [];
    },
  ],
  [
    /model\.vocab, an id for each piece, got nothing/,
    ({ model }) => {
      delete model.vocab;
    },
  ],
];

test('what is not BERT’s WordPiece is refused by the name that the file gives it', () => {
  for (const [message, change] of refused) {
    assert.throws(() => readTokenizerJson(bertJson(change)), refuses(message), String(message));
  }
  assert.throws(() => readTokenizerJson(write('broken.json', '{"model":')), refuses(/JSON.*broken\.json/));
  assert.throws(() => readTokenizerJson(path.join(folder, 'none.json')), refuses(/ENOENT.*none\.json/));
  assert.throws(() => readTokenizerJson([]), refuses(/model\.type "WordPiece", got nothing/));
});

test('a path says what it is: a vocab.txt, a tokenizer.json or a folder; what the caller says goes before', async () => {
  const json = JSON.stringify(
    bertJson(({ normalizer }) => {
      normalizer.lowercase = false;
    }),
  );
  const settingsOf = async (...args: Parameters<typeof Tokenizer.open>) => (await Tokenizer.open(...args)).settings;
  const cased = { profile: 'huggingface', lowercase: false, stripAccents: false };
  const uncased = { profile: 'huggingface', lowercase: true, stripAccents: true };
  assert.deepEqual(await settingsOf(vocabPath), uncased);
  assert.deepEqual(await settingsOf(write('cased/tokenizer.json', json)), cased);
  assert.deepEqual(await settingsOf(path.join(folder, 'cased')), cased);
  assert.deepEqual(await settingsOf(path.join(folder, 'cased'), { lowercase: true }), uncased);
  assert.deepEqual(await settingsOf(path.join(folder, 'cased'), { stripAccents: true }), {
    ...cased,
    stripAccents: true,
  });
  // transformers lets tokenizer_config.json go before tokenizer.json.
  write('cased/tokenizer_config.json', '{"do_lower_case": true}');
  assert.deepEqual(await settingsOf(path.join(folder, 'cased')), uncased);
  write('lines/vocab.txt', readFileSync(vocabPath));
  write('lines/tokenizer_config.json', '{"do_lower_case": false, "strip_accents": null}');
  assert.deepEqual(await settingsOf(path.join(folder, 'lines')), cased);
  write('lines/tokenizer_config.json', '{"galvani_profile": "electra"}');
  assert.deepEqual(await settingsOf(path.join(folder, 'lines')), { ...uncased, profile: 'electra' });
  for (const [config, message] of [
    ['{"do_lower_case": 1}', /do_lower_case true, false or null, got 1/],
    ['{"tokenize_chinese_chars": false}', /tokenize_chinese_chars true, got false/],
    ['{"galvani_profile": "bert"}', /galvani_profile huggingface or electra, got "bert"/],
    ['[', /a file of JSON, got .*tokenizer_config\.json/],
  ] as const) {
    write('lines/tokenizer_config.json', config);
    await assert.rejects(Tokenizer.fromFolder(path.join(folder, 'lines')), refuses(message));
  }
  await assert.rejects(Tokenizer.open(folder), refuses(/a folder with a tokenizer\.json or a vocab\.txt, got neither/));
  await assert.rejects(Tokenizer.open(path.join(folder, 'none')), refuses(/ENOENT/));
});

test('a vocab.txt with CRLF, equal, empty or marked lines gives the ids that tokenizers gives', async () => {
  const file = write('odd.txt', '\ufeff[PAD]\r\n[UNK]\r\n[CLS]\r\n\r\na\r\n##b \t\r\na\r\n##c\u3000\r\n\r\nlast\u0085');
  const tokenizer = await Tokenizer.open(file);
  const model = await huggingface.WordPiece.fromFile(file);
  const reference = new huggingface.Tokenizer(model);
  reference.setNormalizer(huggingface.bertNormalizer());
  reference.setPreTokenizer(huggingface.bertPreTokenizer());
  for (const text of ['a ab abc acb last b', 'A x lastb']) {
    const expected = await reference.encode(text, null, { addSpecialTokens: false });
    assert.deepEqual([...tokenizer.encode(text)], expected.getIds(), text);
  }
  assert.equal(tokenizer.size, 10);
  assert.equal(tokenizer.tokenToId('a'), 6);
});

test('a byte order mark before [UNK], and more lines than there may be ids, are errors that say so', async () => {
  await assert.rejects(
    Tokenizer.open(write('marked.txt', '\ufeff[UNK]\na\n')),
    refuses(
      /2 pieces without \[UNK\], the first with a byte order mark \(.*marked\.txt\)\. Remove the byte order mark/,
    ),
  );
  assert.throws(
    () => Vocabulary.parse(Buffer.alloc(maxPieces + 1, '\n'), 'huggingface', 'long.txt'),
    refuses(/expected at most 16777216 pieces, one a line, got 16777217 \(long\.txt, line 16777217\)/),
  );
});
