/** How a worker of the pool answers: with a result whose arrays move to the main thread, or with the error it met. */
import { Piscina } from 'piscina';
import { type ErrorParts, GalvaniError } from './errors.js';

/** A result, or an error as data, since an error loses its class between threads. */
export type Answer<R> = { result: R } | { error: ErrorParts };

/** A worker is handed its next task before it has ended one; they are done one after the other. */
let before: Promise<unknown> = Promise.resolve();

/** @param arrays those of the result that are moved, not copied; each has its buffer for itself */
export async function answer<R>(
  work: () => Promise<R>,
  arrays: (result: R) => ArrayBufferView[] = () => [],
): Promise<Answer<R>> {
  try {
    const working = before.then(work);
    before = working.catch(() => {});
    const result = await working;
    return Piscina.move({
      [Piscina.transferableSymbol]: arrays(result).map(({ buffer }) => buffer),
      [Piscina.valueSymbol]: { result },
    } as unknown as ArrayBuffer) as unknown as Answer<R>;
  } catch (error) {
    if (!(error instanceof GalvaniError)) throw error;
    return { error: { ...error.parts, cause: undefined } };
  }
}
