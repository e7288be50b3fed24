/**
 * npm tokenizers 0.23.2 as a process that makes passes over a text when asked: a rival of tokenize.ts, and its reference.
 *
 *   node tokenizers.js TOKENIZER_JSON THREADS TEXT
 *
 * Lines go to encodeBatch in batches, its faster way. A pass is the beginning of the text alone: it is slow, and no
 * faster further on.
 */
import { closeSync, openSync, readFileSync, writeSync } from 'node:fs';
import { createRequire } from 'node:module';
import { createInterface } from 'node:readline/promises';
import type { PassFigures } from '../../src/text/timedProcess.js';

const batchLines = 256;
const passBytes = 5e5;

const [tokenizerFile, threads, file] = process.argv.slice(2);
// Read when the library starts its thread pool.
process.env.TOKENIZERS_PARALLELISM = `${Number(threads) > 1}`;
process.env.RAYON_NUM_THREADS = threads;
const { Tokenizer } = createRequire(import.meta.url)('tokenizers') as typeof import('tokenizers');
const tokenizer = Tokenizer.fromFile(tokenizerFile);
const text = readFileSync(file);

console.log(JSON.stringify({ ready: true }));
for await (const line of createInterface(process.stdin)) {
  const [command, value] = line.split('\t');
  if (command === 'ids') await writeIds(value);
  console.log(JSON.stringify(command === 'pass' ? await time(Number(value)) : {}));
}

async function time(times: number): Promise<PassFigures> {
  const end = text.indexOf('\n', passBytes) + 1 || text.length;
  const batches = [...batchesOf(text.subarray(0, end))];
  const cpuBefore = process.cpuUsage();
  const start = performance.now();
  let tokens = 0;
  for (let i = 0; i < times; i++) {
    tokens = 0;
    for (const batch of batches) {
      for (const encoding of await tokenizer.encodeBatch(batch, { addSpecialTokens: false }))
        tokens += encoding.getLength();
    }
  }
  const seconds = (performance.now() - start) / 1000 / times;
  const { user, system } = process.cpuUsage(cpuBefore);
  const peakResidentBytes = process.resourceUsage().maxRSS * 1024;
  return { seconds, cpuSeconds: (user + system) / 1e6 / times, bytes: end, tokens, peakResidentBytes };
}

async function writeIds(path: string): Promise<void> {
  const out = openSync(path, 'w');
  for (const batch of batchesOf(text)) {
    for (const encoding of await tokenizer.encodeBatch(batch, { addSpecialTokens: false })) {
      writeSync(out, Uint32Array.from(encoding.getIds()));
    }
  }
  closeSync(out);
}

function* batchesOf(bytes: Buffer): Generator<string[]> {
  const lines = bytes.toString('utf8').split('\n');
  for (let i = 0; i < lines.length; i += batchLines) yield lines.slice(i, i + batchLines);
}
