/**
 * How often each normalised word occurs: what a vocabulary is learned from. The words come from the same kernel that encodes.
 *
 * A word is kept as the string of its UTF-8 bytes, one UTF-16 unit a byte ("byte string"): short in memory, and `<` on it is
 * the order of bytes. Counts do not depend on the order of the texts.
 */
import { closeSync, openSync, readSync } from 'node:fs';
import { GalvaniError } from '../errors.js';
import type { WordPieceEncoder } from './encoder.js';

export interface WordCount {
  /** Byte string of the word. */
  word: string;
  count: number;
}

const blockBytes = 1 << 20;

export class WordCounts {
  readonly #counts = new Map<string, number>();
  readonly #encoder: WordPieceEncoder;

  /** The encoder lends its normaliser; its vocabulary does not matter. */
  constructor(encoder: WordPieceEncoder) {
    this.#encoder = encoder;
  }

  /** Count the words of a text; it must end where a word may end. */
  addText(bytes: Uint8Array): void {
    for (const chunk of this.#encoder.normalizedWords(bytes)) {
      const words = Buffer.from(chunk.buffer, chunk.byteOffset, chunk.length).toString('latin1').split('\n');
      words.pop(); // what follows the last line end
      for (const word of words) this.#addWord(word);
    }
  }

  /** Count the words of a file, a megabyte at a time. @throws badInput when it cannot be read. */
  addFile(path: string): void {
    for (const block of readBlocks(path)) this.addText(block);
  }

  #addWord(word: string): void {
    const count = this.#counts.get(word);
    // `split` may hand out slices that keep a whole block alive; a new key is copied.
    if (count === undefined) this.#counts.set(Buffer.from(word, 'latin1').toString('latin1'), 1);
    else this.#counts.set(word, count + 1);
  }

  /** By count, most frequent first, then by bytes: a total order. */
  sorted(): WordCount[] {
    const all = [...this.#counts].map(([word, count]) => ({ word, count }));
    return all.sort((a, b) => b.count - a.count || (a.word < b.word ? -1 : 1));
  }
}

/** The file in blocks that end behind a line (the last one where the file ends). A block is valid until the next. */
function* readBlocks(path: string): Generator<Uint8Array> {
  let file: number;
  try {
    file = openSync(path, 'r');
  } catch (cause) {
    throw unreadable(path, cause);
  }
  try {
    let block = Buffer.alloc(blockBytes);
    let held = 0; // bytes of a line that has not ended
    for (;;) {
      if (held === block.length) block = Buffer.concat([block], 2 * block.length);
      const read = readSync(file, block, held, block.length - held, null);
      const filled = held + read;
      const end = read === 0 ? filled : block.subarray(held, filled).lastIndexOf(0x0a) + 1 + held;
      const hasLine = end > held || read === 0;
      if (hasLine && end > 0) yield block.subarray(0, end);
      if (read === 0) return;
      if (hasLine) block.copyWithin(0, end, filled);
      held = hasLine ? filled - end : filled;
    }
  } catch (cause) {
    throw cause instanceof GalvaniError ? cause : unreadable(path, cause);
  } finally {
    closeSync(file);
  }
}

function unreadable(path: string, cause: unknown): GalvaniError {
  return new GalvaniError({
    stage: 'vocab',
    expected: 'a readable text file',
    got: cause instanceof Error ? cause.message : String(cause),
    where: path,
    remedy: 'Check the path and its permissions.',
    kind: 'badInput',
    cause,
  });
}
