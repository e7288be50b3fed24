/** The texts that a command is asked about: its arguments, or the lines of standard input. */
import { createInterface } from 'node:readline';
import { GalvaniError } from '../errors.js';

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
  let parcel: string[] = [];
  for await (const line of createInterface({ input: process.stdin, crlfDelay: Number.POSITIVE_INFINITY })) {
    parcel.push(line);
    if (parcel.length < parcelLines) continue;
    yield parcel;
    parcel = [];
  }
  if (parcel.length > 0) yield parcel;
}
