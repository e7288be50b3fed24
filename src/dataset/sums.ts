/** SHA256SUMS: one line a file, as `sha256sum -c` reads them; names are relative to the dataset, sorted. */
import { readFile } from 'node:fs/promises';
import path from 'node:path';
import { GalvaniError } from '../errors.js';
import { sumsFile } from './manifest.js';

export function printSums(sums: Map<string, string>): string {
  const names = [...sums.keys()].sort();
  return names.map((name) => `${sums.get(name)}  ${name}\n`).join('');
}

/** File name → SHA-256 in hex. @throws badInput when the file is missing or a line does not fit. */
export async function readSums(directory: string): Promise<Map<string, string>> {
  const file = path.join(directory, sumsFile);
  const text = await readFile(file, 'utf8').catch((cause) => {
    throw damagedSums('no such file', file, cause);
  });
  const sums = new Map<string, string>();
  const lines = text.split('\n');
  if (lines.pop() !== '') throw damagedSums('a last line without its end', file);
  for (const [index, line] of lines.entries()) {
    const match = /^([0-9a-f]{64}) {2}(\S+)$/.exec(line);
    if (match === null) throw damagedSums(`"${line.slice(0, 90)}"`, `${file}, line ${index + 1}`);
    sums.set(match[2], match[1]);
  }
  return sums;
}

function damagedSums(got: string, where: string, cause?: unknown): GalvaniError {
  return new GalvaniError({
    stage: 'dataset',
    expected: 'checksums, one "<SHA-256>  <file>" a line',
    got,
    where,
    remedy: 'Run "galvani prepare" again.',
    kind: 'badInput',
    cause,
  });
}
