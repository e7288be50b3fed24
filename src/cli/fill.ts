/** `galvani fill`: what the generator would put at each [MASK]. */
import type { Command } from 'commander';
import { fillMasks } from '../inference/fill.js';
import { loadModel } from '../inference/model.js';
import { formatCandidates } from '../report/tokens.js';
import { readTexts } from './texts.js';

interface Options {
  model: string;
  engine: string;
  json?: boolean;
}

export function define(command: Command): void {
  command
    .argument('[text...]', 'texts with [MASK] in them; without any, the lines of standard input')
    .requiredOption('--model <dir>', 'a folder that "galvani export" made, or its generator/')
    .option('--engine <name>', 'what computes', 'wasm')
    .option('--json', 'one object a text: tokens, ids, and for each mask its place and candidates')
    .addHelpText(
      'after',
      '\nExample:\n  $ galvani fill --model runs/brown-tiny/model "He went to the [MASK] of the house."',
    )
    .action(run);
}

async function run(texts: string[], { model: folder, engine, json }: Options): Promise<void> {
  const model = await loadModel(folder, { engine });
  try {
    for await (const parcel of readTexts(texts)) {
      for (const text of parcel) {
        const filled = await fillMasks(model, text);
        process.stdout.write(json ? `${JSON.stringify(filled)}\n` : formatCandidates(filled));
      }
    }
  } finally {
    await model.close();
  }
}
