/** The error for a setting of the loader that cannot be. */
import { GalvaniError } from '../errors.js';

export function wrongSetting(name: string, expected: string, got: unknown): GalvaniError {
  return new GalvaniError({
    stage: 'batch',
    expected,
    got: String(got),
    where: name,
    remedy: `Change ${name}.`,
    kind: 'wrongUse',
  });
}
