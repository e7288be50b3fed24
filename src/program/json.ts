/**
 * A program as JSON: to be looked at, compared and handed on. One tensor and one operation a line, in a fixed order of
 * keys, so that equal programs give equal bytes and a difference is a line.
 *
 * What is read back is checked as if it were built: every operation is known, its types are inferred again, and every
 * value is written once and before it is read.
 */
import { z } from 'zod';
import { type Complaint, GalvaniError } from '../errors.js';
import { operations } from '../ops/index.js';
import { type Attributes, describeType, type OperationDefinition, type TensorType } from '../ops/operation.js';
import { type Operation, type Program, typesOf } from './program.js';

const format = 'galvani-program';
const formatVersion = 1;

const number = z.int().nonnegative();
const numbers = z.record(z.string(), number);
const programSchema = z.strictObject({
  format: z.literal(format),
  format_version: z.literal(formatVersion),
  tensors: z.array(
    z.strictObject({
      name: z.string(),
      kind: z.enum(['input', 'variable', 'value']),
      dtype: z.enum(['float32', 'int32']),
      shape: z.array(z.int().positive()),
    }),
  ),
  operations: z.array(
    z.strictObject({
      name: z.string(),
      scope: z.string(),
      inputs: z.array(z.int().min(-1)),
      outputs: z.array(number).min(1),
      attributes: z.record(z.string(), z.union([z.number(), z.string(), z.boolean()])),
    }),
  ),
  inputs: numbers,
  variables: z.record(
    z.string(),
    z.strictObject({
      role: z.enum(['parameter', 'moment', 'gradient']),
      tensor: number,
      assigned: number.optional(),
    }),
  ),
  outputs: numbers,
});

export function programToJson({ tensors, operations, inputs, variables, outputs }: Program): string {
  const lines = (items: readonly object[]) => `[\n${items.map((item) => JSON.stringify(item)).join(',\n')}\n]`;
  const parts = {
    format: JSON.stringify(format),
    format_version: JSON.stringify(formatVersion),
    tensors: lines(tensors.map(({ name, kind, dtype, shape }) => ({ name, kind, dtype, shape }))),
    operations: lines(
      operations.map(({ name, scope, inputs, outputs, attributes }) => ({
        name,
        scope,
        inputs,
        outputs,
        attributes: sorted(attributes),
      })),
    ),
    inputs: JSON.stringify(inputs),
    variables: JSON.stringify(
      Object.fromEntries(
        Object.entries(variables).map(([name, { role, tensor, assigned }]) => [name, { role, tensor, assigned }]),
      ),
    ),
    outputs: JSON.stringify(outputs),
  };
  const members = Object.entries(parts).map(([key, text]) => `${JSON.stringify(key)}: ${text}`);
  return `{\n${members.join(',\n')}\n}\n`;
}

/** @throws GalvaniError (badInput) that names the place, for what is no program of this version, or one that is damaged. */
export function programFromJson(text: string, where: string): Program {
  const parsed = programSchema.safeParse(parse(text, where));
  if (!parsed.success) {
    const [issue] = parsed.error.issues;
    const at = issue.path.length > 0 ? `${issue.path.join('.')}: ` : '';
    throw noProgram({ expected: `a ${format} of version ${formatVersion}`, got: `${at}${issue.message}` }, where);
  }
  const { format: _, format_version: __, ...program } = parsed.data;
  checkProgram(program, where);
  return program;
}

function parse(text: string, where: string): unknown {
  try {
    return JSON.parse(text);
  } catch (error) {
    throw noProgram({ expected: 'JSON', got: (error as Error).message }, where);
  }
}

/** All that the types of the schema do not say. */
function checkProgram(program: Program, where: string): void {
  const { tensors } = program;
  const expect = (holds: boolean, expected: string, got: string, at: string) => {
    if (!holds) throw noProgram({ expected, got }, `${where}, ${at}`);
  };
  const describe = (tensor: number) => {
    const info = tensors[tensor];
    return info ? `%${tensor}, ${info.kind} "${info.name}" ${describeType(info)}` : `%${tensor} of ${tensors.length}`;
  };
  /** Tensors that have their values by now. */
  const there = new Set<number>();
  const begin = (kind: 'input' | 'variable', name: string, tensor: number) => {
    const info = tensors[tensor];
    const fits = info?.kind === kind && info.name === name && !there.has(tensor);
    expect(fits && (kind === 'input' || info.dtype === 'float32'), `its ${kind}`, describe(tensor), `${kind} ${name}`);
    there.add(tensor);
  };
  for (const [name, tensor] of Object.entries(program.inputs)) begin('input', name, tensor);
  for (const [name, { tensor }] of Object.entries(program.variables)) begin('variable', name, tensor);

  for (const [index, operation] of program.operations.entries()) {
    const at = `operation ${index}, ${operation.name}`;
    for (const tensor of operation.inputs) {
      expect(tensor < 0 || there.has(tensor), 'inputs that are there before it', describe(tensor), at);
    }
    for (const tensor of operation.outputs) {
      const isFree = tensors[tensor]?.kind === 'value' && !there.has(tensor);
      expect(isFree, 'outputs that nothing else writes', describe(tensor), at);
      there.add(tensor);
    }
    const written = typesOf(program, operation.outputs).map(describeType).join(', ');
    const inferred = inferTypes(program, operation, `${where}, ${at}`).map(describeType).join(', ');
    expect(written === inferred, `outputs ${inferred}`, written, at);
  }
  for (const [tensor, { name }] of tensors.entries()) {
    expect(there.has(tensor), 'every tensor to be given or written', `%${tensor}, which is neither`, `tensor ${name}`);
  }
  for (const [name, tensor] of Object.entries(program.outputs)) {
    expect(there.has(tensor), 'a tensor of the program', describe(tensor), `output ${name}`);
  }
  for (const [name, { tensor, assigned = tensor }] of Object.entries(program.variables)) {
    const info = tensors[assigned];
    const fits = info && describeType(info) === describeType(tensors[tensor]);
    const isOther = info?.kind === 'variable' && assigned !== tensor;
    expect(fits && !isOther, `a value ${describeType(tensors[tensor])}`, describe(assigned), `variable ${name}`);
  }
}

function inferTypes(program: Program, { name, inputs, attributes }: Operation, where: string): TensorType[] {
  const definition = operations.get(name);
  if (!definition) throw noProgram({ expected: 'a known operation', got: name }, where);
  checkAttributes(definition, attributes, where);
  const { types, lookedAt } = watched(typesOf(program, inputs));
  let inferred: (TensorType | undefined)[] = [undefined];
  try {
    inferred = definition.infer(types, attributes);
  } catch (error) {
    if (error instanceof GalvaniError) throw noProgram(error.parts, where);
    // Else a rule that reads an input which is not there.
  }
  if (!inferred.every((type) => type !== undefined)) {
    throw noProgram({ expected: `all inputs of ${name}`, got: `${inputs.length} of them, some absent` }, where);
  }
  if (lookedAt() === inputs.length) return inferred;
  throw noProgram({ expected: `at most ${lookedAt()} inputs of ${name}`, got: `${inputs.length}` }, where);
}

function checkAttributes(
  { name, attributes: rules = {} }: OperationDefinition,
  given: Attributes,
  where: string,
): void {
  for (const [attribute, { expected, holds }] of Object.entries(rules)) {
    if (holds(given[attribute])) continue;
    const got = attribute in given ? JSON.stringify(given[attribute]) : 'none';
    throw noProgram({ expected: `${attribute} of ${name} to be ${expected}`, got }, where);
  }
  const unknown = Object.keys(given).find((attribute) => !(attribute in rules));
  if (unknown === undefined) return;
  const known = Object.keys(rules).join(', ') || 'none';
  throw noProgram({ expected: `attributes of ${name} (${known})`, got: unknown }, where);
}

/** Types of inputs, and how many of them a rule has looked at: an input that it does not is one too many. */
function watched(given: TensorType[]): { types: TensorType[]; lookedAt(): number } {
  let most = 0;
  const types = new Proxy(given, {
    get(target, key) {
      if (typeof key === 'string' && key in target) most = Math.max(most, Number(key) + 1 || 0);
      return Reflect.get(target, key);
    },
  });
  return { types, lookedAt: () => most };
}

function sorted(attributes: Attributes): Attributes {
  return Object.fromEntries(Object.entries(attributes).sort(([a], [b]) => (a < b ? -1 : 1)));
}

function noProgram({ expected, got }: Complaint, where: string): GalvaniError {
  return new GalvaniError({
    stage: 'program',
    expected,
    got,
    where,
    remedy: 'Write the file again with galvani inspect RUN --program NAME --json.',
    kind: 'badInput',
  });
}
