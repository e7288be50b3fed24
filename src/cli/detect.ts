/** `galvani detect`: which tokens of a text were likely replaced. */
import type { Command } from 'commander';
import { detectReplaced } from '../inference/detect.js';
import { loadModel } from '../inference/model.js';
import { markTokens, wantsColour } from '../report/tokens.js';
import { readTexts } from './texts.js';

interface Options {
  model: string;
  engine: string;
  json?: boolean;
}

export function define(command: Command): void {
  command
    .argument('[text...]', 'texts; without any, the lines of standard input')
    .requiredOption('--model <dir>', 'a folder that "galvani export" made, or its discriminator/')
    .option('--engine <name>', 'what computes', 'wasm')
    .option('--json', 'one object a text: tokens, ids, probabilities')
    .addHelpText(
      'after',
      '\nExample:\n  $ galvani detect --model runs/brown-tiny/model "The jury further said the purple was over."',
    )
    .action(run);
}

async function run(texts: string[], { model: folder, engine, json }: Options): Promise<void> {
  const model = await loadModel(folder, { engine });
  try {
    for await (const detected of detectReplaced(model, readTexts(texts))) {
      const { tokens, probabilities } = detected;
      console.log(json ? JSON.stringify(detected) : markTokens(tokens, probabilities, wantsColour()));
    }
  } finally {
    await model.close();
  }
}
