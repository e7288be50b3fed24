/** The error that names a damaged file of a dataset. */
import { GalvaniError } from '../errors.js';

export function damaged(file: string, expected: string, got: string, cause?: unknown): GalvaniError {
  return new GalvaniError({
    stage: 'dataset',
    expected,
    got,
    where: file,
    remedy: 'The file is damaged: run "galvani prepare" again, or bring it back from a copy.',
    kind: 'badInput',
    cause,
  });
}
