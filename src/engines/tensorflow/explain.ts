/**
 * What TensorFlow says when it fails, told in terms of our programs: which operation of which program, found by the
 * names of nodes in its text (cut at 500 characters by the binding), and where memory ran out, how much was asked for.
 */
import { GalvaniError } from '../../errors.js';
import { sizeOf } from '../../ops/operation.js';
import type { Program } from '../../program/program.js';
import { formatBytes } from '../../report/table.js';
import { locate } from './emission.js';

type Programs = Readonly<Record<string, Program>>;

/** doing: the program that ran, or what else was done. */
export function explain(cause: unknown, programs: Programs, doing: string): unknown {
  if (!(cause instanceof Error) || cause instanceof GalvaniError) return cause;
  const text = cause.message.replace(/^(Session fail to run with error|Failed to load SavedModel): /, '');
  const where = placeOf(text, programs) ?? (Object.hasOwn(programs, doing) ? `program ${doing}` : doing);
  const asked = bytesAsked(text);
  if (asked !== undefined) return outOfMemory(asked, 'a refusal of the device', where, programs[doing], cause);
  return new GalvaniError({
    stage: 'tensorflow',
    expected: 'a program that the library runs',
    got: text.replace(/\s*\[\[\{\{.*$/s, '').replace(/\s+/g, ' '),
    where,
    remedy: 'Report it with this message; --engine wasm runs the same programs.',
    cause,
  });
}

/** `program train, linear in discriminator/layer.3/attention`. */
function placeOf(text: string, programs: Programs): string | undefined {
  const place = locate(text);
  if (place === undefined) return undefined;
  const [name, program] = Object.entries(programs)[place.program] ?? [];
  const operation = program?.operations[place.operation];
  return operation && `program ${name}, ${operation.name} in ${operation.scope}`;
}

/** Bytes that were not to be had, 0 where the text does not say how many; undefined where memory is not the matter. */
function bytesAsked(text: string): number | undefined {
  if (!/\bOOM\b|out of memory|RESOURCE_EXHAUSTED|failed to allocate|\w+_ALLOC_FAILED/i.test(text)) return undefined;
  const tensor = /shape\s?\[([\d,]*)\] and type (\w+)/.exec(text);
  if (tensor) return sizeOf(tensor[1].split(',').map(Number)) * (elementBytes[tensor[2]] ?? 4);
  const amount = /allocat(?:e|ing)(?: request for)? ([\d.]+) ?(bytes|[KMGT]?i?B)/i.exec(text);
  return amount ? Math.round(Number(amount[1]) * 1024 ** Math.max(0, 'BKMGT'.indexOf(amount[2][0].toUpperCase()))) : 0;
}

const elementBytes: Readonly<Record<string, number>> = {
  bool: 1,
  uint8: 1,
  bfloat16: 2,
  uint16: 2,
  int64: 8,
  uint64: 8,
  double: 8,
};

/** bytes: 0 where nobody knows; half the rows are what is to be tried next. */
export function outOfMemory(
  bytes: number,
  got: string,
  where: string,
  program: Program | undefined,
  cause?: unknown,
): GalvaniError {
  const rows = program ? rowsOf(program) : 0;
  const smaller = rows > 1 ? `--micro-batch-size ${Math.floor(rows / 2)}` : 'a smaller --micro-batch-size';
  return new GalvaniError({
    stage: 'tensorflow',
    expected: bytes > 0 ? `${formatBytes(bytes)} of memory` : 'more memory',
    got,
    where,
    remedy: `Choose ${smaller}, a smaller --sequence-length or model, or close what else uses memory.`,
    cause,
  });
}

/** Rows of the batch that a program takes at a time, as its planes have them. */
function rowsOf(program: Program): number {
  return Math.max(
    0,
    ...Object.values(program.inputs).map((tensor) => {
      const { shape } = program.tensors[tensor];
      return shape.length >= 2 ? shape[0] : 0;
    }),
  );
}
