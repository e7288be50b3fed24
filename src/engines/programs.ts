/** What every engine checks at its border: names of programs and variables, and that arrays are of the sizes and types asked for. */
import { GalvaniError, nearestName } from '../errors.js';
import { describeType, sizeOf } from '../ops/operation.js';
import type { Program } from '../program/program.js';
import type { Inputs, VariableInfo } from './engine.js';

export type SharedVariable = VariableInfo;

/** The variables of all programs by name; two programs must agree about each. */
export function sharedVariables(programs: Readonly<Record<string, Program>>): Map<string, SharedVariable> {
  const shared = new Map<string, SharedVariable>();
  for (const [programName, program] of Object.entries(programs)) {
    for (const [name, { role, tensor }] of Object.entries(program.variables)) {
      const info = program.tensors[tensor];
      const known = shared.get(name);
      if (known && describeType(known) !== describeType(info)) {
        throw new GalvaniError({
          stage: 'engine',
          expected: `variable ${name} to be ${describeType(known)} in every program`,
          got: describeType(info),
          where: `program ${programName}`,
          remedy: 'Programs that are loaded together share variables by name; build them for one model.',
          kind: 'wrongUse',
        });
      }
      shared.set(name, { name, shape: info.shape, dtype: info.dtype, role });
    }
  }
  return shared;
}

export function findProgram(programs: Readonly<Record<string, Program>>, name: string): Program {
  if (Object.hasOwn(programs, name)) return programs[name];
  throw unknownName('program', name, Object.keys(programs), `one of ${Object.keys(programs).length}`);
}

export function findVariable<V extends SharedVariable>(shared: ReadonlyMap<string, V>, name: string): V {
  const variable = shared.get(name);
  if (variable) return variable;
  throw unknownName('variable', name, [...shared.keys()], `one of ${shared.size}`);
}

/** Every input of the program is there, of the right type and size, and nothing else. */
export function checkInputs(programName: string, program: Program, inputs: Inputs): void {
  for (const [name, tensor] of Object.entries(program.inputs)) {
    const info = program.tensors[tensor];
    const values = inputs[name];
    const fits = values?.length === sizeOf(info.shape) && (info.dtype === 'int32') === values instanceof Int32Array;
    if (fits) continue;
    throw new GalvaniError({
      stage: 'engine',
      expected: `input ${name} to be ${describeType(info)}`,
      got: values ? `${values.constructor.name} of ${values.length}` : 'nothing',
      where: `program ${programName}`,
      remedy: 'Give one array an input, of exactly its size and type.',
      kind: 'wrongUse',
    });
  }
  for (const name of Object.keys(inputs)) {
    if (!Object.hasOwn(program.inputs, name))
      throw unknownName('input', name, Object.keys(program.inputs), `program ${programName}`);
  }
}

/** The variables that values are to be written into: each is known and holds as many as there are. */
export function checkValues<V extends SharedVariable>(
  shared: ReadonlyMap<string, V>,
  values: ReadonlyMap<string, ArrayLike<number>>,
): V[] {
  return [...values].map(([name, { length }]) => {
    const variable = findVariable(shared, name);
    const size = sizeOf(variable.shape);
    if (length === size) return variable;
    throw new GalvaniError({
      stage: 'engine',
      expected: `${size} values for variable ${name}`,
      got: `${length}`,
      where: describeType(variable),
      remedy: 'Give it the values of a model of the same configuration.',
      kind: 'wrongUse',
    });
  });
}

/** What a runtime says to calls after `close`. */
/** What `checkFinite` found, as the number of an operation. */
export function nonFiniteResult(programName: string, { operations }: Program, index: number): GalvaniError {
  const { name, scope } = operations[index];
  return new GalvaniError({
    stage: 'step',
    expected: 'finite results of every operation',
    got: `NaN or an infinity first from ${name}, operation ${index}, in ${scope === '' ? 'no scope' : scope}`,
    where: `program ${programName}`,
    remedy: 'What it read was finite or is a variable: look at its weights, and at the learning rate.',
  });
}

export function closedEngine(stage: string): GalvaniError {
  return new GalvaniError({
    stage,
    expected: 'an engine that is loaded',
    got: 'one that was closed',
    remedy: 'Load the programs again.',
    kind: 'wrongUse',
  });
}

function unknownName(what: string, name: string, known: readonly string[], where: string): GalvaniError {
  const nearest = nearestName(name, known);
  return new GalvaniError({
    stage: 'engine',
    expected: `the name of a known ${what}`,
    got: `"${name}"`,
    where,
    remedy: nearest ? `Did you mean "${nearest}"?` : `Known: ${known.slice(0, 10).join(', ')}.`,
    kind: 'wrongUse',
  });
}
