/**
 * Writes src/text/generated/unicode-tables.ts: the pinned character data of both profiles.
 *
 *   node assembly/text/generate-tables.mjs
 *
 * `electra` comes from Python's unicodedata (electra-properties.py; needs Python 3.11 = Unicode 14). `huggingface` is probed
 * out of npm tokenizers 0.23.2, character by character, because that is the only place where its mix of Unicode versions is
 * written down: its category table is Unicode 8's, its lower-casing and decomposition are younger.
 *
 * Layout of one profile's table before compression, little-endian; header of 12 u32 offsets, then the parts, each aligned to 4:
 *   class stage 1 (u16), class stage 2 (u8), class records (u16),
 *   then for each of the maps `lower`, `decompose`, `both`: stage 1 (u16), stage 2 (u16), pool (u32)
 * as assembly/text/state.ts describes. Offsets count from the start of the table. Marks of a combining class other than 0
 * that a map would only produce to be stripped are left out of it; `both` is decompose and lower in the profile's order.
 */
import { execFileSync } from 'node:child_process';
import { mkdirSync, readFileSync, writeFileSync } from 'node:fs';
import { deflateRawSync } from 'node:zlib';
import tokenizers from 'tokenizers';

const DROP = 1;
const SPACE = 2;
const IDEOGRAPH = 4;
const PUNCTUATION = 8;
const MARK = 16;
const SHIFT = 7;
const LAST = 0x10ffff;

const isSurrogate = (code) => code >= 0xd800 && code <= 0xdfff;
const isSyllable = (code) => code >= 0xac00 && code < 0xd7a4;

function readElectra() {
  const script = new URL('electra-properties.py', import.meta.url).pathname;
  const printed = execFileSync('python3', [script], { maxBuffer: 1 << 28, encoding: 'utf8' });
  const { unicode, python, records } = JSON.parse(printed);
  const properties = emptyProperties();
  for (const [code, bits, combining, lower, decomposed] of records) {
    properties.bits[code] = bits;
    properties.combining[code] = combining;
    if (lower) properties.lower.set(code, [...lower].map((c) => c.codePointAt(0)));
    if (decomposed) properties.decompose.set(code, [...decomposed].map((c) => c.codePointAt(0)));
  }
  return { ...properties, lowersFirst: true, source: `Python ${python}, Unicode ${unicode}` };
}

function emptyProperties() {
  return { bits: new Uint8Array(LAST + 1), combining: new Uint8Array(LAST + 1), lower: new Map(), decompose: new Map() };
}

function probeHuggingface() {
  const only = (options) =>
    tokenizers.bertNormalizer({ cleanText: false, handleChineseChars: false, stripAccents: false, lowercase: false, ...options });
  const clean = only({ cleanText: true, handleChineseChars: true });
  const strip = only({ stripAccents: true });
  const lowercase = only({ lowercase: true });
  const nfd = tokenizers.nfdNormalizer();
  const splitter = tokenizers.bertPreTokenizer();
  const properties = emptyProperties();
  const points = (text) => [...text].map((c) => c.codePointAt(0));
  for (let code = 0; code <= LAST; code++) {
    if (isSurrogate(code)) continue;
    const char = String.fromCodePoint(code);
    const cleaned = clean.normalizeString(`a${char}b`);
    let bits = cleaned === 'ab' ? DROP : cleaned === 'a b' ? SPACE : cleaned === `a ${char} b` ? IDEOGRAPH : 0;
    if (bits === 0 && cleaned !== `a${char}b`) throw new Error(`clean: U+${code.toString(16)} became ${cleaned}`);
    const pieces = splitter.preTokenizeString(`a${char}b`).length;
    if (pieces === 3) bits |= PUNCTUATION;
    else if (pieces === 2 && !(bits & (SPACE | DROP))) throw new Error(`split: U+${code.toString(16)} is a space unseen by cleaning`);
    const lower = lowercase.normalizeString(char);
    if (lower !== char) properties.lower.set(code, points(lower));
    const decomposed = nfd.normalizeString(char);
    if (decomposed !== char && !isSyllable(code)) properties.decompose.set(code, points(decomposed));
    if (decomposed === char && strip.normalizeString(char) === '') bits |= MARK;
    properties.bits[code] = bits;
  }
  probeCombiningClasses(properties, nfd);
  return { ...properties, lowersFirst: false, source: 'npm tokenizers 0.23.2 by probing: categories of Unicode 8' };
}

/** A character's class is found by which marks of known class it changes places with. */
function probeCombiningClasses(properties, nfd) {
  const known = new Map([
    [1, 0x334], [7, 0x93c], [8, 0x3099], [9, 0x94d], [220, 0x316], [222, 0x59a], [224, 0x302e], [226, 0x1d16d], [228, 0x5ae],
    [230, 0x300], [232, 0x315], [233, 0x35c], [234, 0x35d], [240, 0x345], [202, 0x321], [214, 0x1dce], [216, 0x31b], [218, 0x302a],
    [84, 0xc55], [91, 0xc56], [103, 0xe38], [107, 0xe48], [118, 0xeb8], [122, 0xec8], [129, 0xf71], [130, 0xf72], [132, 0xf74],
  ]);
  for (let i = 0; i < 26; i++) {
    // Hebrew and Arabic points: classes 10–36, one mark each.
    const marks = [0x5b0, 0x5b1, 0x5b2, 0x5b3, 0x5b4, 0x5b5, 0x5b6, 0x5b7, 0x5b8, 0x5b9, 0x5bb, 0x5bc, 0x5bd, 0x5bf, 0x5c1, 0x5c2, 0xfb1e,
      0x64b, 0x64c, 0x64d, 0x64e, 0x64f, 0x650, 0x651, 0x652, 0x670];
    known.set(10 + i, marks[i]);
  }
  known.set(36, 0x711);
  const classes = [...known.keys()].sort((a, b) => a - b);
  const swaps = (first, second) => {
    const text = String.fromCodePoint(first, second);
    return nfd.normalizeString(`a${text}`) !== `a${text}`;
  };
  for (let code = 0x80; code <= LAST; code++) {
    if (isSurrogate(code) || isSyllable(code) || properties.decompose.has(code)) continue;
    const first = known.get(1);
    if (!swaps(code, first) && !swaps(known.get(240), code)) continue;
    // The class is the largest known one that does not lie above it: below it all swap when they come after.
    let found = classes[0];
    for (const value of classes) if (!swaps(known.get(value), code) || value === classes[0]) found = value;
    properties.combining[code] = found;
  }
  for (const [value, mark] of known) {
    if (properties.combining[mark] !== value) throw new Error(`class of U+${mark.toString(16)}: ${properties.combining[mark]}, not ${value}`);
  }
}

/** The maps that the settings choose from: code point → code points. */
function composeMaps({ bits, combining, lower, decompose, lowersFirst }) {
  const apply = (map, codes) => codes.flatMap((code) => map.get(code) ?? [code]);
  const strip = (codes) => codes.filter((code) => !(bits[code] & MARK && combining[code] !== 0));
  const both = new Map();
  const decomposeOnly = new Map();
  for (const code of [...new Set([...lower.keys(), ...decompose.keys()])].sort((a, b) => a - b)) {
    const result = lowersFirst ? apply(decompose, apply(lower, [code])) : apply(lower, apply(decompose, [code]));
    both.set(code, strip(result));
    if (decompose.has(code)) decomposeOnly.set(code, strip(decompose.get(code)));
  }
  return { lower, decompose: decomposeOnly, both };
}

function checkSizes({ bits, combining }, maps) {
  for (const map of Object.values(maps)) {
    for (const [code, result] of map) {
      // Buffers rely on it: a word never has more code points than its raw text has bytes.
      if (result.length > Buffer.byteLength(String.fromCodePoint(code))) throw new Error(`U+${code.toString(16)} grows too long`);
    }
  }
  for (let code = 0; code <= LAST; code++) {
    if (bits[code] & PUNCTUATION && combining[code] !== 0) throw new Error(`U+${code.toString(16)} is punctuation with a class`);
  }
}

function twoStage(valueOf, Stage2) {
  const size = 1 << SHIFT;
  const stage1 = new Uint16Array((LAST + 1) >> SHIFT);
  const blocks = [];
  const seen = new Map();
  for (let block = 0; block < stage1.length; block++) {
    const values = Stage2.from({ length: size }, (_, i) => valueOf((block << SHIFT) + i));
    const key = values.join();
    if (!seen.has(key)) {
      seen.set(key, blocks.length);
      blocks.push(values);
    }
    stage1[block] = seen.get(key);
  }
  const stage2 = new Stage2(blocks.length * size);
  blocks.forEach((values, i) => stage2.set(values, i * size));
  return [stage1, stage2];
}

function classParts({ bits, combining }) {
  const records = [];
  const numbers = new Map();
  const [stage1, stage2] = twoStage((code) => {
    const record = bits[code] | (combining[code] << 8);
    if (!numbers.has(record)) numbers.set(record, records.push(record) - 1);
    return numbers.get(record);
  }, Uint8Array);
  if (records.length > 256) throw new Error(`${records.length} class records do not fit a byte`);
  return [stage1, stage2, Uint16Array.from(records)];
}

function mapParts(map) {
  const pool = [0];
  const places = new Map();
  const [stage1, stage2] = twoStage((code) => {
    const result = map.get(code);
    if (result === undefined) return 0;
    const key = result.join();
    if (!places.has(key)) {
      places.set(key, pool.length);
      pool.push((((result.length << 24) >>> 0) | (result[0] ?? 0)) >>> 0, ...result.slice(1));
    }
    return places.get(key);
  }, Uint16Array);
  if (pool.length > 65535) throw new Error('the pool of a map is too long');
  return [stage1, stage2, Uint32Array.from([...pool, 0])];
}

function packProfile(properties) {
  const maps = composeMaps(properties);
  checkSizes(properties, maps);
  const parts = [...classParts(properties), ...mapParts(maps.lower), ...mapParts(maps.decompose), ...mapParts(maps.both)];
  const header = new Uint32Array(parts.length);
  const chunks = [Buffer.from(header.buffer)];
  let offset = header.byteLength;
  parts.forEach((part, i) => {
    header[i] = offset;
    const bytes = Buffer.alloc((part.byteLength + 3) & ~3);
    bytes.set(new Uint8Array(part.buffer));
    chunks.push(bytes);
    offset += bytes.length;
  });
  return Buffer.concat(chunks);
}

function asLiteral(bytes) {
  const text = deflateRawSync(bytes, { level: 9 }).toString('base64');
  const lines = text.match(/.{1,118}/g).map((line) => `  '${line}'`);
  return lines.join(' +\n');
}

const version = JSON.parse(readFileSync(new URL('../../node_modules/tokenizers/package.json', import.meta.url))).version;
if (version !== '0.23.2') throw new Error(`expected npm tokenizers 0.23.2, got ${version}`);
const profiles = { electra: readElectra(), huggingface: probeHuggingface() };
const written = Object.entries(profiles).map(([name, properties]) => {
  const bytes = packProfile(properties);
  return `/** Source: ${properties.source}. ${bytes.length} bytes before compression. */\nexport const ${name}Table =\n${asLiteral(bytes)};\n`;
});
const target = new URL('../../src/text/generated/', import.meta.url);
mkdirSync(target, { recursive: true });
writeFileSync(
  new URL('unicode-tables.ts', target),
  `// Generated by assembly/text/generate-tables.mjs, which also tells the layout. Do not edit. Raw deflate, base64.\n` +
    `// Unicode data: Copyright © Unicode, Inc.; see NOTICE.\n\n${written.join('\n')}`,
);
