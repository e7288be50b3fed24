/**
 * Texts out of JSON lines, against JSON.parse. Where bytes are not UTF-8 each byte above 0x7f stands as a character of its
 * own that the documents do not have, so that JSON.parse judges these lines too.
 */
import assert from 'node:assert/strict';
import { isUtf8 } from 'node:buffer';
import { test } from 'node:test';
import { compileJsonModule, type JsonExports, JsonLineReader } from '../../src/corpus/readers/jsonLines.js';
import { GalvaniError } from '../../src/errors.js';
import { drawWord, integerOfWord, keyOfSeed } from '../../src/random/philox.js';

const module = compileJsonModule();
const readers = new Map<string, JsonLineReader>();

interface Result {
  /** All texts, each with its LF. */
  text: Buffer;
  recordLines: number[];
  /** Offsets of the lines that were refused. */
  refused: number[];
}

function readerOf(field: string): JsonLineReader {
  const reader = readers.get(field) ?? new JsonLineReader(module, field);
  readers.set(field, reader);
  return reader;
}

function read(lines: Uint8Array, field: string): Result & { complaints: string[] } {
  const chunks: Buffer[] = [];
  const result = { recordLines: [] as number[], refused: [] as number[], complaints: [] as string[] };
  const texts = readerOf(field).read(lines, String, (at, { expected, got }) => {
    result.refused.push(Number(at));
    result.complaints.push(`expected ${expected}, got ${got}`);
  });
  for (const { bytes, recordLines } of texts) {
    chunks.push(Buffer.from(bytes)); // a copy: the view is good until the next one
    result.recordLines.push(...recordLines);
  }
  return { ...result, text: Buffer.concat(chunks) };
}

function expectedOf(lines: Buffer, field: string): Result {
  const chunks: Buffer[] = [];
  const recordLines: number[] = [];
  const refused: number[] = [];
  for (let start = 0; start < lines.length; ) {
    const found = lines.indexOf('\n', start);
    const end = found < 0 ? lines.length : found;
    const line = lines.subarray(start, end);
    if (!line.every((byte) => byte === 0x20 || byte === 0x09 || byte === 0x0d)) {
      const text = textOf(line, field);
      if (text === undefined) {
        refused.push(start);
      } else {
        chunks.push(text, Buffer.from('\n'));
        recordLines.push(text.filter((byte) => byte === 0x0a).length + 1);
      }
    }
    start = end + 1;
  }
  return { text: Buffer.concat(chunks), recordLines, refused };
}

const loneBytes = 0xe000;

/** What JSON.parse finds at the path, as UTF-8 with U+FFFD for lone surrogates; undefined where it fails or is no string. */
function textOf(line: Buffer, field: string): Buffer | undefined {
  const known = isUtf8(line);
  // Not Buffer.toString, which is the same, nor TextDecoder's default, which takes a byte-order mark away.
  const source = known
    ? new TextDecoder('utf-8', { fatal: true, ignoreBOM: true }).decode(line)
    : Array.from(line, (byte) => String.fromCharCode(byte < 0x80 ? byte : loneBytes + byte)).join('');
  let value: unknown;
  try {
    value = JSON.parse(source);
  } catch {
    return undefined;
  }
  for (const key of field.split('.')) {
    if (typeof value !== 'object' || value === null || Array.isArray(value) || !Object.hasOwn(value, key))
      return undefined;
    value = (value as Record<string, unknown>)[key];
  }
  if (typeof value !== 'string') return undefined;
  if (known) return Buffer.from(value);
  return Buffer.concat(
    Array.from(value, (character) => {
      const byte = character.charCodeAt(0) - loneBytes;
      return byte >= 0x80 && byte <= 0xff ? Buffer.from([byte]) : Buffer.from(character);
    }),
  );
}

/** Reader and oracle agree on lines, all together. */
function assertAgree(lines: Buffer, field: string): Result {
  const { text, recordLines, refused } = read(lines, field);
  const expected = expectedOf(lines, field);
  assert.deepEqual(refused, expected.refused, 'the lines refused');
  assert.deepEqual(recordLines, expected.recordLines);
  assert.ok(text.equals(expected.text));
  return expected;
}

/** A JSON value, and whether JSON.parse takes it; each is also put where other parsers of ours read it. */
const values: [string, boolean][] = [
  ...[
    '0',
    '-0',
    '1',
    '10',
    '-12',
    '0.5',
    '-0.0',
    '1e5',
    '1E5',
    '1e+5',
    '1e-5',
    '0e0',
    '1.25e-300',
    '1e400',
    '9'.repeat(99),
  ],
  ...[
    'true',
    'false',
    'null',
    '""',
    '"a"',
    '[]',
    '{}',
    '[1]',
    '[1,2]',
    '[[],[[]],{}]',
    '[ ]',
    '{ }',
    '\t1\r',
    ' [ 1 , 2 ] ',
  ],
  ...[
    '{"":""}',
    '{"a":1,"a":2}',
    '{"a":{"b":[{}]}}',
    '{ "a" : 1 , "b" : 2 }',
    '"\u007f"',
    '"é中😀"',
    '"\ufeff"',
    '"\u2028"',
  ],
  ...[
    '"\\""',
    '"\\\\"',
    '"\\/"',
    '"\\b\\f\\n\\r\\t"',
    '"\\u0000"',
    '"\\u00e9"',
    '"\\u00E9"',
    '"\\uABCD\\uabcd"',
    '"\\\\u12"',
  ],
  ...[
    '"\\ud83d\\ude00"',
    '"\\ud83d"',
    '"\\ude00"',
    '"\\ude00\\ud83d"',
    '"\\ud83dx"',
    '"\\ud83d\\u0041"',
    '"\\ud83d\\n"',
  ],
  ...['"\\ud83d\\ud83d\\ude00"', '"\\udbff\\udfff"', '"\\ud800\\udc00"', '"\\ud7ff\\ue000"', '"\\uffff"', '"\\\\\\""'],
].map((value): [string, boolean] => [value, true]);

values.push(
  ...[
    ...[
      '+1',
      '-',
      '01',
      '-01',
      '00',
      '1.',
      '.5',
      '1.e5',
      '1e',
      '1e+',
      '1e-',
      '1ee5',
      '0x10',
      '1_000',
      '1 2',
      '--1',
      '1-',
      '1e5.5',
    ],
    ...[
      'NaN',
      'Infinity',
      '-Infinity',
      'nan',
      'True',
      'TRUE',
      'tru',
      'truee',
      'nul',
      'nulll',
      'fals',
      'falsee',
      'undefined',
      't',
    ],
    ...[
      "'a'",
      '"a',
      'a"',
      '"',
      '""a',
      '"a""b"',
      'a',
      '"\\"',
      '"\\',
      '"\\x41"',
      '"\\a"',
      '"\\0"',
      '"\\\'"',
      '"\\ "',
      '"\\é"',
    ],
    ...[
      '"\\u"',
      '"\\u1"',
      '"\\u12"',
      '"\\u123"',
      '"\\u123g"',
      '"\\u 123"',
      '"\\u-123"',
      '"\\u{41}"',
      '"\\U0041"',
      '"\\u12',
      '"\\u1234',
    ],
    ...[
      '"\\ud83d\\u"',
      '"\\ud83d\\u12"',
      '"\\ud83d\\"',
      '"\\ud83d\\x"',
      '"\t"',
      '"\r"',
      '"\0"',
      '"\u001f"',
      '"a\u0001"',
    ],
    ...[
      '[',
      ']',
      '[1',
      '[1,',
      '[1,]',
      '[,1]',
      '[,]',
      '[1,,2]',
      '[1 2]',
      '[1:2]',
      '[1}',
      '[1]]',
      '[[1]',
      '[1],',
      ',',
      ':',
      '\\',
    ],
    ...[
      '{',
      '}',
      '{"a"',
      '{"a":',
      '{"a":1',
      '{"a":1,',
      '{"a":1,}',
      '{,}',
      '{"a"}',
      '{"a",1}',
      '{"a":}',
      '{:1}',
      '{"a"::1}',
    ],
    ...[
      '{a:1}',
      '{1:1}',
      "{'a':1}",
      '{"a":1]',
      '{"a":1}}',
      '{"a":1 "b":2}',
      '{"a":1;"b":2}',
      '{"a":1}{"b":2}',
      '{null:1}',
    ],
    ...[
      '1//',
      '1/**/',
      '#',
      '\ufeff1',
      '1\ufeff',
      '\u00a01',
      '1\u00a0',
      '\u20281',
      '\v1',
      '\f1',
      '1\f',
      '\u00851',
      '1\0',
      '\0',
    ],
  ].map((value): [string, boolean] => [value, false]),
);

test('takes what JSON.parse takes and refuses the rest, wherever it stands', () => {
  for (const [value, isValid] of values) {
    let parses = true;
    try {
      JSON.parse(value);
    } catch {
      parses = false;
    }
    assert.equal(parses, isValid, `the table is wrong about ${value}`);
    const places = [
      value,
      `{"text":"x","other":${value}}`,
      `{"other":${value},"text":"x"}`,
      `{"other":[${value}],"text":"x"}`,
      `{"other":[0,{"deep":${value}}],"text":"x"}`,
      `{"text":${value}}`,
      `{"text":"x"}${value}`,
      `{"text":"x","text":${value}}`,
      `{"text":${value},"text":"x"}`,
      `{"meta":{"body":${value}},"text":"x"}`,
    ];
    for (const place of places) for (const field of ['text', 'meta.body']) assertAgree(Buffer.from(place), field);
  }
});

test('finds the string at the path as JSON.parse does', () => {
  const lines = [
    '{"text":"a"}',
    '{"text":""}',
    '{"":"empty key"}',
    '{"":{"":"empty keys"}}',
    '{"te\\u0078t":"b"}',
    '{"\\u0074\\u0065\\u0078\\u0074":"c","x":"\\u0074"}',
    '{"text\\u0000":"no","texts":"no","tex":"no","Text":"no","\\"text":"no"}',
    '{"text":"first","text":"last"}',
    '{"text":"longer than the last","te\\u0078t":"last","other":"x"}',
    '{"text":"first","text":null}',
    '{"text":null,"text":"last"}',
    '{"other":{"text":"not this"},"text":"this"}',
    '{"text":"this","other":{"text":"not this"}}',
    '{"text":{"text":"not this"}}',
    '[{"text":"not this"}]',
    '{"meta":{"body":"a"},"body":"not this"}',
    '{"meta":{"body":"a","body":"b"}}',
    '{"meta":{"body":"a"},"meta":{}}',
    '{"meta":{"body":"a"},"meta":{"body":"c"}}',
    '{"meta":{"body":"a"},"meta":3}',
    '{"meta":{"body":"a"},"meta":[{"body":"b"}]}',
    '{"meta":{"meta":{"body":"a"}}}',
    '{"meta":{"other":{"body":"a"},"body":"b"}}',
    '{"meta.body":"not this"}',
    '{"m\\u0065ta":{"bod\\u0079":"d"}}',
    '{"__proto__":{"body":"p"},"constructor":"q"}',
    '{"text":"a\\nb\\r\\nc\\u000ad\\u0000"}',
    '{"text":"\\n"}',
    '{"Ключ":{"键":"e"}}',
    '{"\\u041a\\u043b\\u044e\\u0447":{"\\u952e":"f"}}',
    '"text"',
    'null',
    '3',
    '[]',
  ];
  const fields = [
    'text',
    'meta.body',
    'body',
    '',
    '.',
    'meta.meta.body',
    '__proto__.body',
    'constructor',
    'toString',
    'Ключ.键',
  ];
  for (const field of fields) {
    const found = lines.reduce((sum, line) => sum + assertAgree(Buffer.from(line), field).recordLines.length, 0);
    assert.ok(field === 'toString' ? found === 0 : found > 0, field);
    assertAgree(Buffer.from(lines.join('\n')), field);
    assertAgree(Buffer.from(lines.join(' \r\n') + '\r\n'), field);
  }
});

test('blank lines are no records, CR LF ends a line, and the last line may lack its LF', () => {
  for (const lines of [
    '',
    '\n',
    '\n\n',
    ' \t\r\n',
    ' ',
    '\r',
    '\n {"text":"a"}\r\n\r\n\t\n{"text":"b"}',
    '{"text":"a"}\n\n',
  ]) {
    assertAgree(Buffer.from(lines), 'text');
  }
  assert.equal(read(Buffer.from('\n{"text":"a"}\r\n \n{"text":"b\\nc"}'), 'text').text.toString(), 'a\nb\nc\n');
});

test('values may lie in 512 arrays and objects, and in no more', () => {
  for (const [open, inner, close] of [
    ['[', '', ']'],
    ['{"a":', '1', '}'],
  ]) {
    const nest = (levels: number) =>
      Buffer.from(`{"deep":${open.repeat(levels)}${inner}${close.repeat(levels)},"text":"x"}`);
    assert.deepEqual(read(nest(511), 'text').recordLines, [1]);
    assert.deepEqual(read(nest(512), 'text').complaints, [
      `expected JSON of at most 512 levels on one line, got one more at byte ${8 + 511 * open.length} of the line`,
    ]);
  }
  assert.equal(read(Buffer.from('['.repeat(1 << 20)), 'text').complaints.length, 1);
  const path = Array.from({ length: 512 }, () => 'a').join('.');
  assert.equal(read(Buffer.from(`${'{"a":'.repeat(512)}"deep"${'}'.repeat(512)}`), path).text.toString(), 'deep\n');
});

const key = keyOfSeed(93);

/** Draws of document n; each call gives the next one, in [0, bound). */
function drawsOf(n: number): (bound: number) => number {
  let index = 0;
  return (bound) => integerOfWord(drawWord(key, 0, n, index++), bound);
}

const spaces = ['', '', '', ' ', '\t', '\r', '  '];
const characters = [
  ...'aaabcde   "\\/\b\f\n\r\t\0\u001f\u007f\u0080éß中文한😀𠀀\ud83d\ude00\udfff\ufeff\ufffd\uffff',
  '\ud83d',
  '\ude00',
];
const shortEscapes = new Map([...'"\\/\b\f\n\r\t'].map((character, i) => [character, `\\${'"\\/bfnrt'[i]}`]));

/** A JSON value as text, with white space and escapes as one may write them. */
function randomValue(draw: (bound: number) => number, depth: number): string {
  const space = () => spaces[draw(spaces.length)];
  const kind = draw(depth > 3 ? 4 : 7);
  if (kind === 0) return ['true', 'false', 'null'][draw(3)];
  if (kind === 1) return JSON.stringify((draw(2000) - 1000) / 10 ** draw(9));
  if (kind < 4) return randomString(draw, draw(4) === 0 ? 60 : 8);
  const members = Array.from({ length: draw(4) }, () => {
    const name = kind < 6 ? `${randomKey(draw)}${space()}:${space()}` : '';
    return `${space()}${name}${randomValue(draw, depth + 1)}${space()}`;
  });
  const inside = members.length === 0 ? space() : members.join(',');
  return kind < 6 ? `{${inside}}` : `[${inside}]`;
}

function randomKey(draw: (bound: number) => number): string {
  const names = ['text', 'text', 'meta', 'meta', 'body', 'body', 'tex', ''];
  return draw(8) === 0 ? randomString(draw, 4) : writeString([...names[draw(names.length)]], draw);
}

function randomString(draw: (bound: number) => number, most: number): string {
  return writeString(
    Array.from({ length: draw(most + 1) }, () => characters[draw(characters.length)]),
    draw,
  );
}

function writeString(units: string[], draw: (bound: number) => number): string {
  const often = [2, 8, 64][draw(3)];
  const written = units.map((character) => {
    const mustEscape = character < ' ' || character === '"' || character === '\\' || !character.isWellFormed();
    if (!mustEscape && draw(often) > 0) return character;
    const short = shortEscapes.get(character);
    if (short !== undefined && draw(2) === 0) return short;
    return Array.from({ length: character.length }, (_, i) => {
      const digits = character.charCodeAt(i).toString(16).padStart(4, '0');
      return `\\u${draw(2) === 0 ? digits : digits.toUpperCase()}`;
    }).join('');
  });
  return `"${written.join('')}"`;
}

/** A document that has the paths more often than not. */
function randomDocument(n: number): Buffer {
  const draw = drawsOf(n);
  const members = Array.from({ length: draw(4) }, () => `${randomKey(draw)}:${randomValue(draw, 1)}`);
  if (draw(4) > 0) members.push(`${writeString([...'text'], draw)}: ${randomString(draw, 100)}`);
  if (draw(4) > 0)
    members.push(`"meta": {"id":${draw(99)}, ${writeString([...'body'], draw)}:${randomString(draw, 40)}}`);
  const order = draw(2) === 0 ? members : members.reverse();
  return Buffer.from(draw(32) === 0 ? randomValue(draw, 0) : `{${order.join(',')}}`);
}

/** One to three bytes flipped, deleted or put in; half of those put in mean something to JSON. */
function mutate(document: Buffer, n: number): Buffer {
  const draw = drawsOf(n + (1 << 20));
  const meant = Buffer.from('{}[]:,"\\\\ue0.-1tn\0\n\r \x80');
  const bytes = [...document];
  for (let left = 1 + draw(3); left > 0 && bytes.length > 0; left--) {
    const at = draw(bytes.length);
    const kind = draw(3);
    if (kind === 0) bytes[at] ^= 1 << draw(8);
    else if (kind === 1) bytes.splice(at, 1);
    else bytes.splice(at, 0, draw(2) === 0 ? draw(256) : meant[draw(meant.length)]);
  }
  return Buffer.from(bytes);
}

const documentCount = 20_000;
const batch = 250;

for (const [what, make, least] of [
  ['documents', randomDocument, 0.6],
  ['documents with bytes changed', (n: number) => mutate(randomDocument(n), n), 0.15],
] as const) {
  test(`${documentCount} random ${what} have the texts that JSON.parse finds`, () => {
    const found = { text: 0, 'meta.body': 0 };
    let refused = 0;
    for (let first = 0; first < documentCount; first += batch) {
      const lines = Array.from({ length: batch }, (_, i) => [
        make(first + i),
        Buffer.from(i % 3 === 0 ? '\r\n' : '\n'),
      ]);
      const bytes = Buffer.concat(lines.flat());
      for (const field of ['text', 'meta.body'] as const) {
        const expected = assertAgree(bytes, field);
        found[field] += expected.recordLines.length;
        refused += expected.refused.length;
      }
    }
    // The documents are such that both happen.
    for (const count of Object.values(found)) assert.ok(count > least * documentCount, `${count} texts`);
    assert.ok(refused > 0.1 * documentCount, `${refused} refused`);
  });
}

test('strings end, break and are escaped at any place of a block', () => {
  const letters = 'abcdefghijklmnop'.repeat(4);
  for (let before = 0; before < 64; before++) {
    const head = letters.slice(0, before);
    for (let length = 0; length < 64; length++) {
      const text = letters.slice(0, length);
      const lines = [
        `"${text}"`,
        `"${head}\\n${text}\\"${head}\\\\${text}"`,
        `"${head}\\u00e9${text}\\ud83d\\ude00"`,
        `"${head}\\t${text}\u0001"`,
        `"${head}\\"${text}`,
        `"${head}\\\\${text}\\`,
      ].map((value) => `{"${head}":0,"text":${value}}\n`);
      assertAgree(Buffer.from(lines.join('')), 'text');
    }
  }
});

const kernel = new WebAssembly.Instance(module, {}).exports as unknown as JsonExports;
kernel.memory.grow(3 - kernel.memory.buffer.byteLength / 65536);

/** The kernel with nothing behind the text but sixteen bytes of memory, filled with a pattern. */
function readAtEnd(text: Buffer, pattern: number): { text: Buffer; refusedAt: number | undefined; reason: number } {
  const memory = Buffer.from(kernel.memory.buffer);
  const path = 65536;
  const end = memory.length - 16;
  const begin = end - text.length;
  const lines = (begin - 128) & ~3;
  memory.fill(pattern, lines);
  memory.set([4, 0, 0, 0, ...Buffer.from('text')], path);
  memory.set(text, begin);
  kernel.setPath(path, 1);
  kernel.open(begin - 16, lines);
  const stopped = kernel.readLines(begin, end);
  const linesEnd = kernel.getLinesEnd();
  assert.ok(
    memory.subarray(linesEnd, begin - 16).every((byte) => byte === pattern),
    'bytes before the texts have changed',
  );
  assert.ok(
    memory.subarray(end + 1).every((byte) => byte === pattern),
    'bytes behind the text have changed',
  );
  return {
    text: Buffer.from(memory.subarray(begin - 16, kernel.getTextsEnd())),
    refusedAt: stopped === end ? undefined : stopped - begin,
    reason: stopped === end ? 0 : kernel.getReason(),
  };
}

test('what lies behind the text changes nothing and is not changed', () => {
  const whole = '{"a":[true,false,null,-1.5e+10],"text":"x\\u00e9\\ud83d\\ude00\\n","b":{"c":"\\\\"}}';
  const patterns = [...Buffer.from('\n"\\u0}]:,e1 a'), 0, 0xff];
  for (let length = 1; length <= whole.length; length++) {
    for (const cut of [whole.slice(0, length), `{"text":"first"}\n${whole.slice(0, length)}`]) {
      const bytes = Buffer.from(cut);
      const expected = expectedOf(bytes, 'text');
      for (const pattern of patterns) {
        const result = readAtEnd(bytes, pattern);
        assert.ok(result.text.equals(expected.text), `${cut} before ${pattern}`);
        assert.equal(result.refusedAt, expected.refused[0]);
      }
    }
  }
});

test('windows are cut between lines, and a longer line is one', () => {
  const word = 'words and "marks" ';
  const texts = [10, 300_000, 20, 2_000_000, 262_100, 262_144 - 12, 262_144 - 11, 30, 700_000].map((length) =>
    word.repeat(length / word.length + 1).slice(0, length),
  );
  for (const end of ['\n', '']) {
    assertAgree(Buffer.from(texts.map((text) => JSON.stringify({ text })).join('\n') + end), 'text');
  }
  const shortest = Buffer.from('{"":""}\n'.repeat(100_000));
  const views = [...readerOf('').read(shortest, String, () => assert.fail())].map(
    ({ recordLines }) => recordLines.length,
  );
  assert.equal(
    views.reduce((sum, count) => sum + count),
    100_000,
  );
  assert.ok(views.length > 2, 'one window');
});

test('says what is wrong, and where', () => {
  const complaints: [string, string, string][] = [
    ['{"text":"a","b":"c', 'text', 'expected JSON on one line, got an unterminated string at byte 16 of the line'],
    ['{"text":"a"', 'text', 'expected JSON on one line, got a line that ends at byte 11'],
    ['{"text":"a"\r', 'text', 'expected JSON on one line, got a line that ends at byte 12'],
    ['{"text":"a",}', 'text', 'expected JSON on one line, got "}" at byte 12 of the line'],
    ['{"text":"a"} "', 'text', 'expected JSON on one line, got "\\"" at byte 13 of the line'],
    ['\ufeff{"text":"a"}', 'text', 'expected JSON on one line, got the byte 0xef at byte 0 of the line'],
    [
      '{"text":"a\tb"}',
      'text',
      'expected JSON on one line, got the control character 0x09 in a string at byte 10 of the line',
    ],
    [
      '{"text":"a\\x"}',
      'text',
      'expected JSON on one line, got an escape that JSON does not have at byte 10 of the line',
    ],
    ['{"text":01}', 'text', 'expected JSON on one line, got "1" at byte 9 of the line'],
    ['[1,2]', 'text', 'expected a string in "text", got an array, not an object'],
    ['"text"', 'text', 'expected a string in "text", got "text", not an object'],
    ['{}', 'text', 'expected a string in "text", got an empty object'],
    ['{"title":1,"body":2}', 'text', 'expected a string in "text", got an object with "title", "body"'],
    [
      '{"a":1,"b":1,"c":1,"d":1,"e":1,"f":1,"g":1}',
      'text',
      'expected a string in "text", got an object with "a", "b", "c", "d", "e" and 2 more',
    ],
    ['{"text":null}', 'text', 'expected a string in "text", got null'],
    ['{"text":12.5}', 'text', 'expected a string in "text", got 12.5'],
    ['{"text":["a"]}', 'text', 'expected a string in "text", got an array'],
    ['{"text":{"a":1}}', 'text', 'expected a string in "text", got an object'],
    ['{"meta":{"title":1}}', 'meta.body', 'expected a string in "meta.body", got an object with "title" in "meta"'],
    ['{"meta":3}', 'meta.body', 'expected a string in "meta.body", got 3 in "meta", not an object'],
    ['{"text":3}', 'meta.body', 'expected a string in "meta.body", got an object with "text"'],
  ];
  for (const [line, field, complaint] of complaints) {
    assert.deepEqual(read(Buffer.from(line), field).complaints, [complaint]);
    // Behind other lines the place is the same: what was written before has changed what lies there.
    const among = read(Buffer.from(`{"text":"${'x'.repeat(99)}\\n","meta":{"body":"b"}}\n${line}\n${line}\n`), field);
    assert.deepEqual(among.complaints, [complaint, complaint]);
  }
});

test('an error thrown for a line ends the reading, and the reader can be used again', () => {
  const lines = Buffer.from('{"text":"a"}\n{"text":1}\n{"text":"b"}\n');
  const refuse = () => {
    throw new GalvaniError({ stage: 'corpus', expected: 'text', got: 'none', remedy: 'Stop.' });
  };
  assert.throws(() => [...readerOf('text').read(lines, String, refuse)], GalvaniError);
  assert.equal(read(lines, 'text').text.toString(), 'a\nb\n');
});

test('a line that memory has no room for is an error that says so, and the reader goes on with what it has', (t) => {
  const reader = new JsonLineReader(module, 'text');
  const grow = t.mock.method(WebAssembly.Memory.prototype, 'grow', () => {
    throw new RangeError('no room');
  });
  const line = Buffer.from(JSON.stringify({ text: 'x'.repeat(1 << 20) }));
  assert.throws(
    () => [...reader.read(line, String, () => assert.fail())],
    (error) =>
      error instanceof GalvaniError &&
      error.kind === 'badInput' &&
      error.message.startsWith(
        `corpus: expected JSON lines that fit in memory (4 GiB at most), got one of ${line.length} bytes.`,
      ),
  );
  const read = () => [...reader.read(Buffer.from('{"text":"a"}'), String, () => assert.fail())];
  assert.equal(read()[0].bytes.length, 2);
  grow.mock.restore();
  assert.equal([...reader.read(line, String, () => assert.fail())][0].bytes.length, (1 << 20) + 1);
});
