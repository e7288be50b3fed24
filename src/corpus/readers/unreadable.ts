/** What the file system says of an input that it does not give, as the one form of error. */
import { GalvaniError } from '../../errors.js';

export function isSystemError(error: unknown): error is NodeJS.ErrnoException {
  return (error as NodeJS.ErrnoException).syscall !== undefined;
}

export function unreadable(cause: unknown, where: string): GalvaniError {
  return new GalvaniError({
    stage: 'corpus',
    expected: 'a file that can be read',
    got: (cause as NodeJS.ErrnoException).code ?? String(cause),
    where,
    remedy: 'Look at its permissions, and leave inputs in place while they are read.',
    kind: 'badInput',
    cause,
  });
}
