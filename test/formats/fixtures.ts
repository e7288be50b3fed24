/** The golden cases of ELECTRA parity; GALVANI_FIXTURES names another folder of the same layout. */
import { readdirSync } from 'node:fs';
import path from 'node:path';

const root = process.env.GALVANI_FIXTURES ?? path.resolve('../shared/data/electra-parity');

export function pretrainCases(): { name: string; folder: string }[] {
  const folder = path.join(root, 'pretrain');
  return readdirSync(folder).map((name) => ({ name, folder: path.join(folder, name) }));
}
