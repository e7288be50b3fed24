/**
 * The texts of JSON lines: one instance of the json module (assembly/json) with its private memory, for one thread.
 *
 *   const reader = new JsonLineReader(compileJsonModule(), 'meta.body');
 *   for (const { bytes, recordLines } of reader.read(lines, at, refuse)) …
 *
 * Guaranteed: a line counts as JSON where JSON.parse says so (RFC 8259), but for two things: values lie in at most 512 arrays
 * and objects, and bytes above 0x7f in a string need not be UTF-8; they are handed on. The text is the string that the parsed
 * line has at the path: keys may be escaped, of equal keys the last counts, and a surrogate without its other half becomes
 * U+FFFD. A line of white space alone is no record. A line that is refused leaves nothing behind.
 * Memory: a window of whole lines, 256 KiB or one longer line, with its texts in the same place, and an eighth of a MiB.
 */
import { readFileSync } from 'node:fs';
import { type Complaint, GalvaniError } from '../../errors.js';
import type { Refuse, Texts } from './texts.js';

/** As much as the tokenizer takes at a time. From 64 KiB to 1 MiB all sizes were equally fast. */
const windowBytes = 1 << 18;
const pageBytes = 65536;
const newline = 0x0a;
/** What the kernel asks for: texts this many bytes before the lines, and as many readable behind them. */
const gapBytes = 16;
/** The shortest record, `{"":""}` with its line end, has eight bytes. */
const mostRecords = windowBytes / 8 + 1;

/** Of the json module. */
export interface JsonExports {
  memory: WebAssembly.Memory;
  setPath(keys: number, count: number): void;
  open(texts: number, lines: number): void;
  readLines(pos: number, end: number): number;
  getTextsEnd(): number;
  getLinesEnd(): number;
  getReason(): number;
  getPlace(): number;
}

/** assembly/json/refusal.ts. */
const reasons = { unexpected: 1, unterminated: 2, control: 3, escape: 4, tooDeep: 5, noText: 6 } as const;

/** Read and compile dist/assembly/json.wasm. About 1 ms. */
export function compileJsonModule(): WebAssembly.Module {
  return new WebAssembly.Module(readFileSync(new URL('../../../assembly/json.wasm', import.meta.url)));
}

type Records = Texts & Required<Pick<Texts, 'recordLines'>>;

export class JsonLineReader {
  readonly #kernel: JsonExports;
  readonly #path: string[];
  readonly #linesPtr: number;
  readonly #textsPtr: number;
  readonly #windowPtr: number;

  /** @param field names the string: keys of objects in one another, with dots between them (`text`, `meta.body`). */
  constructor(
    module: WebAssembly.Module,
    private readonly field: string,
  ) {
    this.#kernel = new WebAssembly.Instance(module, {}).exports as unknown as JsonExports;
    this.#path = field.split('.');
    const keys = encodePath(this.#path);
    const pathPtr = pageBytes; // the first page is the module's own
    this.#linesPtr = pathPtr + Math.ceil(keys.length / 4) * 4;
    this.#textsPtr = this.#linesPtr + 4 * mostRecords;
    this.#windowPtr = this.#textsPtr + gapBytes;
    this.#reserve(windowBytes);
    new Uint8Array(this.#kernel.memory.buffer).set(keys, pathPtr);
    this.#kernel.setPath(pathPtr, this.#path.length);
  }

  /**
   * The texts of whole lines; the last one may lack its LF. Views are valid until the next ones are asked for.
   * @param at the place of an offset in `lines`, for a person.
   * @param refuse hears of every line that is broken or has no string at the path, with the place where the line begins.
   */
  *read(lines: Uint8Array, at: (offset: number) => string, refuse: Refuse): Generator<Records> {
    for (let start = 0; start < lines.length; ) {
      const window = lines.subarray(start, findCut(lines, start));
      const windowStart = start;
      const texts = this.#readWindow(window, (offset) => at(windowStart + offset), refuse);
      if (texts.recordLines.length > 0) yield texts;
      start += window.length;
    }
  }

  #readWindow(window: Uint8Array, at: (offset: number) => string, refuse: Refuse): Records {
    this.#reserve(window.length);
    const { memory, open, readLines, getTextsEnd, getLinesEnd } = this.#kernel;
    const { buffer } = memory;
    new Uint8Array(buffer).set(window, this.#windowPtr);
    open(this.#textsPtr, this.#linesPtr);
    const end = this.#windowPtr + window.length;
    for (let pos = this.#windowPtr; pos < end; ) {
      pos = readLines(pos, end) >>> 0;
      if (pos === end) break;
      const offset = pos - this.#windowPtr;
      // Behind what it has read the kernel's memory is still the text, but before that it is not.
      const line = window.subarray(offset, findLineEnd(window, offset));
      refuse(at(offset), this.#explain(line, (this.#kernel.getPlace() >>> 0) - pos));
      pos += line.length + 1;
    }
    return {
      bytes: new Uint8Array(buffer, this.#textsPtr, (getTextsEnd() >>> 0) - this.#textsPtr),
      recordLines: new Uint32Array(buffer, this.#linesPtr, ((getLinesEnd() >>> 0) - this.#linesPtr) / 4),
    };
  }

  /** @param place offset in the line of the byte that shows what is wrong. */
  #explain(line: Uint8Array, place: number): Complaint {
    const where = `at byte ${place} of the line`;
    const byte = line[place];
    switch (this.#kernel.getReason()) {
      case reasons.unexpected:
        return brokenJson(place < line.length ? `${describeByte(byte)} ${where}` : `a line that ends at byte ${place}`);
      case reasons.unterminated:
        return brokenJson(`an unterminated string ${where}`);
      case reasons.control:
        return brokenJson(`the control character ${hexadecimal(byte)} in a string ${where}`);
      case reasons.escape:
        return brokenJson(`an escape that JSON does not have ${where}`);
      case reasons.tooDeep:
        return { expected: 'JSON of at most 512 levels on one line', got: `one more ${where}` };
      case reasons.noText:
        return { expected: `a string in ${quote(this.field)}`, got: describeLack(line, this.#path) };
      default:
        throw new Error(`internal: the json kernel refused a line for reason ${this.#kernel.getReason()}`);
    }
  }

  /** Make room for a window of `bytes`. */
  #reserve(bytes: number): void {
    const { memory } = this.#kernel;
    const lacking = this.#windowPtr + bytes + gapBytes - memory.buffer.byteLength;
    if (lacking <= 0) return;
    try {
      memory.grow(Math.ceil(lacking / pageBytes));
    } catch (cause) {
      throw new GalvaniError({
        stage: 'corpus',
        expected: 'JSON lines that fit in memory (4 GiB at most)',
        got: `one of ${bytes} bytes`,
        remedy: 'Break the text into several records, or give the process more memory.',
        kind: 'badInput',
        cause,
      });
    }
  }
}

/** { bytes u32, the bytes } of each key. */
function encodePath(path: string[]): Buffer {
  return Buffer.concat(
    path.flatMap((key) => {
      const bytes = Buffer.from(key);
      const length = Buffer.alloc(4);
      length.writeUInt32LE(bytes.length);
      return [length, bytes];
    }),
  );
}

/** The end of the window of whole lines that begins at `start`. */
function findCut(lines: Uint8Array, start: number): number {
  const limit = start + windowBytes;
  if (limit >= lines.length) return lines.length;
  const lineEnd = lines.subarray(start, limit).lastIndexOf(newline);
  return lineEnd >= 0 ? start + lineEnd + 1 : Math.min(findLineEnd(lines, limit) + 1, lines.length);
}

/** Where the LF is that ends the line, or the end of the text. */
function findLineEnd(lines: Uint8Array, from: number): number {
  const found = lines.indexOf(newline, from);
  return found < 0 ? lines.length : found;
}

function brokenJson(got: string): Complaint {
  return { expected: 'JSON on one line', got };
}

function describeByte(byte: number): string {
  return byte > 0x20 && byte < 0x7f ? quote(String.fromCharCode(byte)) : `the byte ${hexadecimal(byte)}`;
}

const hexadecimal = (byte: number) => `0x${byte.toString(16).padStart(2, '0')}`;

/** What a line of faultless JSON has instead of a string at the path. Here an object is made of it: only where one is refused. */
function describeLack(line: Uint8Array, path: string[]): string {
  let value: unknown = JSON.parse(Buffer.from(line).toString());
  for (const [level, key] of path.entries()) {
    const inside = level === 0 ? '' : ` in ${quote(path.slice(0, level).join('.'))}`;
    if (typeof value !== 'object' || value === null || Array.isArray(value)) {
      return `${describeValue(value)}${inside}, not an object`;
    }
    if (!Object.hasOwn(value, key)) return `${describeKeys(Object.keys(value))}${inside}`;
    value = (value as Record<string, unknown>)[key];
  }
  return describeValue(value);
}

const mostNames = 5;

function describeKeys(keys: string[]): string {
  if (keys.length === 0) return 'an empty object';
  const names = keys.slice(0, mostNames).map(quote).join(', ');
  return `an object with ${names}${keys.length > mostNames ? ` and ${keys.length - mostNames} more` : ''}`;
}

function describeValue(value: unknown): string {
  if (Array.isArray(value)) return 'an array';
  if (typeof value === 'object' && value !== null) return 'an object';
  return typeof value === 'string' ? quote(value) : String(value);
}

/** A string as JSON has it, in part where it is long. */
function quote(text: string): string {
  return text.length <= 40 ? JSON.stringify(text) : `${JSON.stringify(text.slice(0, 40))}…`;
}
