/**
 * A process of its own that makes passes over a text (passes.ts) when asked, so that the first is cold.
 *
 *   node passProcess.js VOCAB SETTINGS THREADS TEXT       SETTINGS: TokenizerSettings as JSON
 *
 * It speaks as timedProcess.ts expects: a line of JSON when it is ready, and one for each line that it reads.
 */
import { writeFileSync } from 'node:fs';
import { createInterface } from 'node:readline/promises';
import { GalvaniError } from '../errors.js';
import { TextPasses } from './passes.js';
import { readSource } from './source.js';
import type { PassFigures } from './timedProcess.js';

const [vocabPath, settingsJson, threads, file] = process.argv.slice(2);
const settings = JSON.parse(settingsJson);
const passes = await open();
console.log(JSON.stringify({ ready: true }));
for await (const line of createInterface(process.stdin)) {
  const [command, value] = line.split('\t');
  if (command === 'ids') {
    await passes.pass(1);
    writeFileSync(value, passes.ids());
  }
  console.log(JSON.stringify(command === 'pass' ? await time(Number(value)) : {}));
}
await passes.close();

async function open(): Promise<TextPasses> {
  try {
    return await TextPasses.open(readSource(vocabPath, settings).vocabulary, settings, file, Number(threads));
  } catch (error) {
    if (error instanceof GalvaniError) console.log(JSON.stringify({ error: { ...error.parts, cause: undefined } }));
    throw error;
  }
}

async function time(times: number): Promise<PassFigures> {
  const cpuBefore = process.cpuUsage();
  const start = performance.now();
  const tokens = await passes.pass(times);
  const seconds = (performance.now() - start) / 1000 / times;
  const { user, system } = process.cpuUsage(cpuBefore);
  return {
    seconds,
    cpuSeconds: (user + system) / 1e6 / times,
    bytes: passes.bytes,
    tokens,
    threadBytes: passes.threadBytes,
    peakResidentBytes: process.resourceUsage().maxRSS * 1024,
  };
}
