/** The texts that a command is asked about: its arguments, or the lines of standard input. */
import { GalvaniError } from '../errors.js';
import { linesOf, wholeLines } from '../text/line-stream.js';

/** Lines are given on in parcels, so that a long stream is answered while it comes and a pass has enough to do. */
const parcelLines = 256;

export async function* readTexts(given: readonly string[]): AsyncGenerator<string[]> {
  if (given.length > 0) {
    yield [...given];
    return;
  }
  if (process.stdin.isTTY) {
    throw new GalvaniError({
      stage: 'text',
      expected: 'a text, or lines of text on standard input',
      got: 'neither',
      remedy: 'Put the text behind the options, in quotes.',
      kind: 'wrongUse',
    });
  }
  for await (const block of wholeLines(process.stdin)) {
    const lines = linesOf(block);
    for (let first = 0; first < lines.length; first += parcelLines) yield lines.slice(first, first + parcelLines);
  }
}
