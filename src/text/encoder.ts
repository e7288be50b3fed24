/**
 * Bytes → ids: one instance of the text module with its private memory, for one thread.
 *
 *   const module = compileTextModule();                        // once; a Module can be posted to workers
 *   const tables = compileTables(vocabulary, settings);        // once; plain bytes, can be posted too
 *   const encoder = new WordPieceEncoder(module, tables);      // in each worker; its word cache lives with it
 *
 * Results are views into reused memory: valid until the next call. A call on a short line costs about half a microsecond.
 * Memory: tables + at most 21 MB of word cache + nine bytes a byte of the window, which is 320 KiB unless one stretch of text
 * without ASCII white space, ASCII punctuation or ideographs is longer than that: it may be one word, and is taken whole.
 */
import { isUtf8 } from 'node:buffer';
import { readFileSync } from 'node:fs';
import { GalvaniError } from '../errors.js';

/** Text is taken in windows of at most this many bytes, cut where no reference's result depends on what follows. */
export const windowBytes = (1 << 18) + (1 << 16); // a range of 256 KiB with the line that it ends in is one window, and its ids are not copied
const pageBytes = 65536;
const validatedBytes = 1024; // Node's validation is several times faster than dropping; from here on it pays to ask it first
const slackBytes = 128; // the kernel pads, reads and writes ahead: at most 112 bytes

/** Of the text module. */
export interface TextExports {
  memory: WebAssembly.Memory;
  workBytes(): number;
  open(tables: number, work: number): void;
  dropInvalid(ptr: number, len: number): number;
  encode(src: number, len: number, ids: number, lineEnds: number, idsBefore: number): number;
  getLineCount(): number;
  encodeWithOffsets(src: number, len: number, ids: number, starts: number, ends: number, firstUnit: number): number;
  getUnit(): number;
  takeUnknownCount(): number;
  writeWords(pos: number, end: number, dst: number): number;
  countIds(ids: number, count: number, even: number, odd: number): void;
  packIds(ids: number, count: number): void;
}

/** Read and compile dist/assembly/text.wasm. About 5 ms. */
export function compileTextModule(): WebAssembly.Module {
  return new WebAssembly.Module(readFileSync(new URL('../../assembly/text.wasm', import.meta.url)));
}

export interface EncodedLines {
  /** Ids of all lines, one after the other. */
  ids: Uint32Array;
  /** For each line the number of ids up to its end. Lines end at LF; a last line without LF counts, an empty rest does not. */
  lineEnds: Uint32Array;
}

/** Some of a text's ids, in order. */
export interface EncodedWindow {
  /** Of 16 bits where the encoder was made for so few pieces. */
  ids: Uint16Array | Uint32Array;
  /** Ends of the lines that end in the window, in ids from the beginning of the text. */
  lineEnds: Uint32Array;
}

export interface IdsWithOffsets {
  ids: Uint32Array;
  /** For each id the UTF-16 units of the text that it was made of: [start, end). */
  starts: Uint32Array;
  ends: Uint32Array;
}

export class WordPieceEncoder {
  /** Tokens that became [UNK], and bytes that were dropped because they are not UTF-8, since the encoder was made. */
  unknownTokens = 0;
  droppedBytes = 0;

  readonly #kernel: TextExports;
  readonly #countsPtr: number; // two tables of the counts of pieces
  readonly #windowPtr: number; // everything before it is fixed: tables, and what the kernel works in
  readonly #utf8 = new TextEncoder();
  #capacity = 0; // bytes of the window
  #idsPtr = 0;
  #lineEndsPtr = 0;
  #source: Uint8Array = new Uint8Array();
  #ids = new GrowingWords();
  #lineEnds = new GrowingWords();

  /** @param countedPieces size of the vocabulary where `encodeWindows` is to be used. */
  constructor(
    module: WebAssembly.Module,
    tables: Uint8Array,
    private readonly countedPieces = 0,
  ) {
    this.#kernel = new WebAssembly.Instance(module, {
      env: {
        abort: () => {
          throw new Error('internal: the text kernel aborted');
        },
      },
    }).exports as unknown as TextExports;
    const tablesPtr = pageBytes; // the first page holds the module's own constants
    const workPtr = roundUp(tablesPtr + tables.length, 64);
    this.#countsPtr = workPtr + this.#kernel.workBytes();
    this.#windowPtr = roundUp(this.#countsPtr + 8 * countedPieces, 64);
    this.#reserve(pageBytes);
    new Uint8Array(this.#kernel.memory.buffer).set(tables, tablesPtr);
    this.#kernel.open(tablesPtr, workPtr);
    this.#startOptimizing();
  }

  /**
   * Engines compile a kernel well, in a thread of their own, once it has run for a while. It is made to run here, for 0.2 ms,
   * so that this is done when a text has been read: the first 2 MB then take 14 ms instead of 20.
   */
  #startOptimizing(): void {
    this.encodeString(' the'.repeat(2048));
    this.unknownTokens = 0;
  }

  /** Ids of a text, without special tokens. The view is valid until the next call. */
  encodeBytes(bytes: Uint8Array): Uint32Array {
    return this.encodeLines(bytes).ids;
  }

  /** Ids of a string; a lone surrogate counts as U+FFFD. The view is valid until the next call. */
  encodeString(text: string): Uint32Array {
    // UTF-8 takes at most three bytes a UTF-16 unit.
    if (text.length * 3 > windowBytes) return this.encodeBytes(Buffer.from(text));
    this.#reserve(text.length * 3);
    const { written } = this.#utf8.encodeInto(text, this.#source);
    return this.#idsView(this.#encodeLoaded(written, 0));
  }

  /** Ids of many lines in one call. The views are valid until the next call. */
  encodeLines(bytes: Uint8Array): EncodedLines {
    if (bytes.length <= windowBytes) {
      const count = this.#encodeWindow(bytes, 0, bytes.length, 0);
      return { ids: this.#idsView(count), lineEnds: this.#lineEndsView(count, endsOpen(bytes)) };
    }
    this.#ids.length = 0;
    this.#lineEnds.length = 0;
    for (let start = 0; start < bytes.length; ) {
      const end = findCut(bytes, start);
      const count = this.#encodeWindow(bytes, start, end, this.#ids.length);
      const share = end / bytes.length;
      this.#ids.append(this.#idsView(count), share);
      this.#lineEnds.append(this.#lineEndsView(this.#ids.length, end === bytes.length && endsOpen(bytes)), share);
      start = end;
    }
    return { ids: this.#ids.view(), lineEnds: this.#lineEnds.view() };
  }

  /**
   * Ids of many lines, a window at a time and every piece counted (`takeCounts`): the way to a shard. Views are valid until the
   * next window is asked for.
   */
  *encodeWindows(bytes: Uint8Array): Generator<EncodedWindow> {
    const { countIds, packIds } = this.#kernel;
    let done = 0;
    for (let start = 0; start < bytes.length; ) {
      const end = findCut(bytes, start);
      const count = this.#encodeWindow(bytes, start, end, done);
      countIds(this.#idsPtr, count, this.#countsPtr, this.#countsPtr + 4 * this.countedPieces);
      const isShort = this.countedPieces <= 0x10000;
      if (isShort) packIds(this.#idsPtr, count);
      const ids = isShort ? new Uint16Array(this.#kernel.memory.buffer, this.#idsPtr, count) : this.#idsView(count);
      done += count;
      yield { ids, lineEnds: this.#lineEndsView(done, end === bytes.length && endsOpen(bytes)) };
      start = end;
    }
  }

  /** Counts of every piece that `encodeWindows` has given since the last call, by id. */
  takeCounts(): Uint32Array {
    const pieces = this.countedPieces;
    const tables = new Uint32Array(this.#kernel.memory.buffer, this.#countsPtr, 2 * pieces);
    const counts = tables.slice(0, pieces);
    for (let id = 0; id < pieces; id++) counts[id] += tables[pieces + id];
    tables.fill(0);
    return counts;
  }

  /** Ids of a text and where each came from: UTF-16 units of the text without its invalid bytes. The arrays are the caller's. */
  encodeWithOffsets(bytes: Uint8Array): IdsWithOffsets {
    const lists = [new GrowingWords(), new GrowingWords(), new GrowingWords()];
    let unit = 0;
    for (let start = 0; start < bytes.length; ) {
      const end = findCut(bytes, start);
      this.#reserve(2 * (end - start)); // three words a byte go where ids and line ends have their room
      const length = this.#load(bytes, start, end);
      const step = 4 * length + 64;
      const [ids, starts, ends] = [0, 1, 2].map((i) => this.#idsPtr + i * step);
      const count = this.#kernel.encodeWithOffsets(this.#windowPtr, length, ids, starts, ends, unit);
      this.unknownTokens += this.#kernel.takeUnknownCount();
      unit = this.#kernel.getUnit() >>> 0;
      [ids, starts, ends].forEach((ptr, i) => {
        lists[i].append(new Uint32Array(this.#kernel.memory.buffer, ptr, count), end / bytes.length);
      });
      start = end;
    }
    const [ids, starts, ends] = lists.map((list) => list.view());
    return { ids, starts, ends };
  }

  /**
   * The normalised words of a text as UTF-8, each followed by LF, in chunks of about a megabyte: what longest match would be
   * asked for. Words over the profile's limit are left out. A chunk is valid until the next one is asked for.
   */
  *normalizedWords(bytes: Uint8Array): Generator<Uint8Array> {
    for (let start = 0; start < bytes.length; ) {
      const end = findCut(bytes, start);
      const length = this.#load(bytes, start, end);
      // Words take at most four bytes a byte of text: the room for ids.
      const stop = this.#kernel.writeWords(this.#windowPtr, this.#windowPtr + length, this.#idsPtr) >>> 0;
      yield new Uint8Array(this.#kernel.memory.buffer, this.#idsPtr, stop - this.#idsPtr);
      start = end;
    }
  }

  /** Bring bytes [start, end) into the window. @returns how many are left without the invalid ones. */
  #load(bytes: Uint8Array, start: number, end: number): number {
    this.#reserve(end - start);
    this.#source.set(start === 0 && end === bytes.length ? bytes : bytes.subarray(start, end));
    return this.#dropInvalid(end - start);
  }

  #dropInvalid(length: number): number {
    if (length >= validatedBytes && isUtf8(this.#source.subarray(0, length))) return length;
    const kept = this.#kernel.dropInvalid(this.#windowPtr, length);
    this.droppedBytes += length - kept;
    return kept;
  }

  /** @param idsBefore what line ends are counted from. @returns the number of ids. */
  #encodeWindow(bytes: Uint8Array, start: number, end: number, idsBefore: number): number {
    return this.#encodeLoaded(this.#load(bytes, start, end), idsBefore);
  }

  #encodeLoaded(length: number, idsBefore: number): number {
    const count = this.#kernel.encode(this.#windowPtr, length, this.#idsPtr, this.#lineEndsPtr, idsBefore);
    this.unknownTokens += this.#kernel.takeUnknownCount();
    return count;
  }

  #idsView(count: number): Uint32Array {
    return new Uint32Array(this.#kernel.memory.buffer, this.#idsPtr, count);
  }

  /** The line ends of the window; `open` adds the end of a last line without LF, after `count` ids. */
  #lineEndsView(count: number, open: boolean): Uint32Array {
    const lines = this.#kernel.getLineCount();
    const view = new Uint32Array(this.#kernel.memory.buffer, this.#lineEndsPtr, open ? lines + 1 : lines);
    if (open) view[lines] = count;
    return view;
  }

  /** Make room for a window of `bytes`: the text, at most as many ids, and one line end more. */
  #reserve(bytes: number): void {
    if (bytes <= this.#capacity) return;
    const capacity = roundUp(Math.max(bytes, Math.min(2 * this.#capacity, windowBytes)), pageBytes);
    const idsPtr = this.#windowPtr + capacity + slackBytes;
    const lineEndsPtr = idsPtr + 4 * capacity + slackBytes;
    const size = lineEndsPtr + 4 * capacity + slackBytes;
    const { memory } = this.#kernel;
    if (size > memory.buffer.byteLength) growMemory(memory, size, bytes);
    // Only now: an encoder whose memory could not grow goes on with what it has.
    this.#idsPtr = idsPtr;
    this.#lineEndsPtr = lineEndsPtr;
    this.#capacity = capacity;
    this.#source = new Uint8Array(memory.buffer, this.#windowPtr, capacity);
  }
}

function growMemory(memory: WebAssembly.Memory, size: number, bytes: number): void {
  try {
    memory.grow(Math.ceil((size - memory.buffer.byteLength) / pageBytes));
  } catch (cause) {
    throw new GalvaniError({
      stage: 'tokenize',
      expected: 'stretches of letters that fit in memory (nine bytes a byte, 4 GiB in all)',
      got: `one of ${bytes} bytes`,
      remedy: 'Break the text, or give the process more memory.',
      kind: 'badInput',
      cause,
    });
  }
}

const endsOpen = (bytes: Uint8Array) => bytes.length > 0 && bytes[bytes.length - 1] !== 0x0a;

const roundUp = (value: number, step: number) => Math.ceil(value / step) * step;

/**
 * The end of the window that begins at `start`: behind its last LF, else its last ASCII white space, else its last separating
 * character, else behind the first of either that comes. Between two of these a stretch may be one word, which no
 * window can end in.
 */
function findCut(bytes: Uint8Array, start: number): number {
  const limit = start + windowBytes;
  if (limit >= bytes.length) return bytes.length;
  const lineEnd = bytes.subarray(start, limit).lastIndexOf(0x0a);
  if (lineEnd >= 0) return start + lineEnd + 1;
  for (let cut = limit; cut > start; cut--) if (endsSpace(bytes, cut)) return cut;
  for (let cut = limit; cut > start; cut--) if (endsSeparator(bytes, cut)) return cut;
  for (let cut = limit + 1; cut < bytes.length; cut++) {
    if (endsSpace(bytes, cut) || endsSeparator(bytes, cut)) return cut;
  }
  return bytes.length;
}

function endsSpace(bytes: Uint8Array, cut: number): boolean {
  const byte = bytes[cut - 1];
  return (byte === 0x20 || byte === 0x0a || byte === 0x09 || byte === 0x0d) && !mayBeInToken(bytes, cut);
}

/** An added token is "[" and at most seven more ASCII characters; bytes that are not UTF-8 may lie between them. */
function mayBeInToken(bytes: Uint8Array, cut: number): boolean {
  for (let at = cut - 1, characters = 0; at >= 0 && characters < 7; at--) {
    if (bytes[at] === 0x5b) return true;
    if (bytes[at] < 0x80) characters++;
  }
  return false;
}

/** ASCII punctuation, but for what final sigma looks through. */
const separators = new Set(Buffer.from('!"#$%&()*+,-/;<=>?@\\_{|}~'));

/** Whether a character ends at `cut` that is a word of its own in both profiles: such punctuation, or one of U+5000–U+8FFF. */
function endsSeparator(bytes: Uint8Array, cut: number): boolean {
  if (separators.has(bytes[cut - 1])) return !mayBeInToken(bytes, cut);
  const lead = bytes[cut - 3];
  return lead >= 0xe5 && lead <= 0xe8 && bytes[cut - 1] >> 6 === 2 && bytes[cut - 2] >> 6 === 2;
}

/** A Uint32Array that grows to what the whole will need, at most sixteenfold: the system's zeroing of fresh memory shows. */
class GrowingWords {
  length = 0;
  #words = new Uint32Array();

  /** @param share of all words that will have been appended, about. */
  append(words: Uint32Array, share: number): void {
    const end = this.length + words.length;
    if (end > this.#words.length) {
      const grown = new Uint32Array(Math.ceil(end * Math.min(1.1 / share, 16)));
      grown.set(this.#words.subarray(0, this.length));
      this.#words = grown;
    }
    this.#words.set(words, this.length);
    this.length = end;
  }

  view(): Uint32Array {
    return this.#words.subarray(0, this.length);
  }
}
