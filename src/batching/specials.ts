/** The ids of the special tokens that batches are built with, from the vocabulary that lies in the dataset. */
import { readFile } from 'node:fs/promises';
import { GalvaniError } from '../errors.js';

export interface SpecialIds {
  pad: number;
  cls: number;
  sep: number;
  mask: number;
}

export async function readSpecialIds(vocabularyPath: string): Promise<SpecialIds> {
  const pieces = (await readFile(vocabularyPath, 'utf8')).split('\n');
  const idOf = (piece: string) => {
    const id = pieces.indexOf(piece);
    if (id >= 0) return id;
    throw new GalvaniError({
      stage: 'vocab',
      expected: `a line ${piece}`,
      got: 'none',
      where: vocabularyPath,
      remedy: 'Pre-training needs [PAD], [CLS], [SEP] and [MASK]; prepare with a vocabulary that has them.',
      kind: 'badInput',
    });
  };
  return { pad: idOf('[PAD]'), cls: idOf('[CLS]'), sep: idOf('[SEP]'), mask: idOf('[MASK]') };
}
