/**
 * What the examples for many machines are tried on: a corpus in three files that cuts go through, what a single `prepare`
 * makes of it, and a command `galvani` that writes down how it was called and can be made to fail.
 */
import assert from 'node:assert/strict';
import { execFileSync } from 'node:child_process';
import { createHash } from 'node:crypto';
import { mkdirSync, mkdtempSync, readFileSync, rmSync, writeFileSync } from 'node:fs';
import os from 'node:os';
import path from 'node:path';
import { after } from 'node:test';
import { fileURLToPath } from 'node:url';
import { tableFromIPC } from 'apache-arrow';
import { readManifest } from '../../src/dataset/dataset.js';
import { vocabularyText, writeText } from '../corpus/words.js';

const main = fileURLToPath(new URL('../../src/cli/main.js', import.meta.url));
const bytesOfFile = 4.5e6;

/** The file of an example, as the clone has it. */
export function exampleFile(name: string): string {
  return fileURLToPath(new URL(`../../../examples/${name}`, import.meta.url));
}

export interface GalvaniCommand {
  folder: string;
  /** `prepare --part 1/3`, `merge`, …: the calls so far, without other flags. */
  calls: () => string[];
}

export class Workplace {
  readonly folder = mkdtempSync(path.join(os.tmpdir(), 'galvani-many-'));
  readonly corpus = this.at('text');
  readonly vocabulary = this.at('vocab.txt');
  /** What one run makes of the corpus. */
  readonly whole = this.at('whole');

  constructor() {
    after(() => rmSync(this.folder, { recursive: true }));
    mkdirSync(this.corpus);
    for (const seed of [1, 2, 3]) writeText(path.join(this.corpus, `${seed}.txt`), bytesOfFile, seed);
    writeFileSync(this.vocabulary, vocabularyText);
    const flags = ['--input', this.corpus, '--vocab', this.vocabulary, '--output', this.whole];
    execFileSync(process.execPath, [main, 'prepare', ...flags], { stdio: 'pipe' });
  }

  at(name: string): string {
    return path.join(this.folder, name);
  }

  /** A folder for PATH with a `galvani` whose first call that has `argument` among its own ends with `exitCode` instead. */
  makeCommand(name: string, fault?: { argument: string; exitCode: number }): GalvaniCommand {
    const folder = this.at(name);
    mkdirSync(folder);
    const fail = `case " $* " in *" ${fault?.argument} "*) mkdir "${folder}/failed" && exit ${fault?.exitCode};; esac`;
    const script = `#!/bin/sh
echo "$*" >> "${folder}/calls"
${fault ? fail : ''}
exec "${process.execPath}" "${main}" "$@"
`;
    writeFileSync(path.join(folder, 'galvani'), script, { mode: 0o755 });
    const calls = () => readFileSync(path.join(folder, 'calls'), 'utf8').trim().split('\n');
    return { folder, calls: () => calls().map((call) => call.replace(/ .*?(--part \S+|$).*/, ' $1').trim()) };
  }

  /** The dataset has the documents and lines that one run makes, in their order, and each of `parts` parts has some. */
  async assertWhole(dataset: string, parts: number): Promise<void> {
    for (let part = 1; part <= parts; part++) {
      const { counts } = await readManifest(`${dataset}-parts/${part}-of-${parts}`);
      assert.ok(counts.documents > 0, `part ${part}`);
    }
    const [found, expected] = [await readTokens(dataset), await readTokens(this.whole)];
    assert.deepEqual(found, expected);
  }
}

/** What is in a dataset, however it is cut into shards: the number of documents, and a digest of ids, lengths and line ends. */
async function readTokens(dataset: string): Promise<Record<string, unknown>> {
  const { shards, counts } = await readManifest(dataset);
  const digest = { ids: createHash('sha256'), lengths: createHash('sha256'), lineEnds: createHash('sha256') };
  for (const { file } of shards) {
    for (const { input_ids, line_ends } of tableFromIPC(readFileSync(path.join(dataset, file)))) {
      digest.ids.update(Uint32Array.from(input_ids));
      digest.lengths.update(Uint32Array.of(input_ids.length, line_ends.length));
      digest.lineEnds.update(Uint32Array.from(line_ends));
    }
  }
  const digests = Object.entries(digest).map(([name, hash]) => [name, hash.digest('hex')]);
  return { documents: counts.documents, tokens: counts.tokens, ...Object.fromEntries(digests) };
}
