/**
 * Programs written as one TensorFlow graph over the same variables. Each program is the nodes that its outputs need, so
 * a run of one never touches another; variables are resource variables, read once where a program begins.
 *
 * A value is a tensor that never changes, so what was read before an update stays what it was. Nodes are named
 * `<number of the program>.<its name>/<number of the operation>.<its name>/…`, by which `locate` finds the operation of
 * ours that an error is about.
 */
import { operations as known } from '../../ops/index.js';
import type { Program } from '../../program/program.js';
import { resultsOf, typesOf } from '../../program/program.js';
import { sharedVariables } from '../programs.js';
import { Graph, type Wire } from './graph.js';
import type { EmitCall } from './operations/call.js';
import { emitters } from './operations/index.js';

export interface EmittedProgram {
  /** Input name → tensor to feed. */
  readonly feeds: Readonly<Record<string, string>>;
  /** Output name → tensor to fetch. */
  readonly outputs: Readonly<Record<string, string>>;
  /** A scalar that is there when all variables are updated; absent where the program updates none. */
  readonly done?: string;
}

export interface EmittedVariable {
  readonly feed: string;
  /** A scalar that is there when what was fed is written. */
  readonly written: string;
  readonly value: string;
}

export interface Emitted {
  /** Contents of saved_model.pb. */
  readonly savedModel: Uint8Array;
  readonly programs: ReadonlyMap<string, EmittedProgram>;
  readonly variables: ReadonlyMap<string, EmittedVariable>;
  /** A scalar that is there when all variables are zero. */
  readonly initialize: string;
}

export function emit(programs: Readonly<Record<string, Program>>, precision: EmitCall['precision']): Emitted {
  const graph = new Graph();
  const handles = new Map<string, Wire>();
  const variables = new Map<string, EmittedVariable>();
  const zeros: Wire[] = [];
  for (const [name, { shape }] of sharedVariables(programs)) {
    graph.scope = `variable.${variables.size}`;
    const attributes = { dtype: { type: 'float32' }, shape: { shape } } as const;
    const handle = graph.effect('VarHandleOp', [], 'resource', 'resource', {
      ...attributes,
      shared_name: { string: name },
    });
    const feed = graph.effect('Placeholder', [], 'float32', 'output', attributes);
    // What is fed may lie in memory of JavaScript, which a variable must not keep.
    const written = assign(graph, handle, graph.deepCopy(feed));
    const value = graph.effect('ReadVariableOp', [handle], 'float32', 'value', { dtype: attributes.dtype });
    const zero = graph.node('Fill', [graph.ints(shape), graph.float(0)], 'float32', 'output', {
      T: { type: 'float32' },
      index_type: { type: 'int32' },
    });
    zeros.push(assign(graph, handle, zero));
    handles.set(name, handle);
    variables.set(name, { feed: feed.ref, written: after(graph, [written]), value: value.ref });
  }
  const initialize = after(graph, zeros);
  const emitted = new Map<string, EmittedProgram>();
  for (const [name, program] of Object.entries(programs)) {
    const scope = `${emitted.size}.${nodeName(name)}`;
    emitted.set(name, emitProgram(graph, scope, program, handles, precision));
  }
  return { savedModel: graph.savedModel(), programs: emitted, variables, initialize };
}

function emitProgram(
  graph: Graph,
  scope: string,
  program: Program,
  handles: ReadonlyMap<string, Wire>,
  precision: EmitCall['precision'],
): EmittedProgram {
  graph.scope = scope;
  const wires: Wire[] = [];
  for (const [name, tensor] of Object.entries(program.inputs)) {
    const { dtype, shape } = program.tensors[tensor];
    const attributes = { dtype: { type: dtype }, shape: { shape } } as const;
    wires[tensor] = {
      ...graph.effect('Placeholder', [], dtype, 'output', attributes, { name: nodeName(name) }),
      shape,
    };
  }
  for (const [name, { tensor }] of Object.entries(program.variables)) {
    const attributes = { dtype: { type: 'float32' } } as const;
    const read = graph.effect('ReadVariableOp', [handles.get(name)!], 'float32', 'value', attributes);
    wires[tensor] = { ...read, shape: program.tensors[tensor].shape };
  }
  // Their memory is JavaScript's and must not be kept.
  const fed = new Set(Object.values(program.inputs).map((tensor) => wires[tensor].ref));
  const operands = operandsOf(program);
  for (const [number, operation] of program.operations.entries()) {
    const emitOne = emitters.get(operation.name);
    if (!emitOne) throw new Error(`internal: operation ${operation.name} is not known to the tensorflow engine`);
    graph.scope = `${scope}/${number}.${operation.name}`;
    const outputs = emitOne({
      graph,
      inputs: operation.inputs.map((tensor) => wires[tensor]),
      inputTypes: typesOf(program, operation.inputs),
      outputTypes: typesOf(program, operation.outputs),
      attributes: operation.attributes,
      precision,
      isOperand: operation.outputs.map((tensor) => operands.has(tensor)),
    });
    for (const [i, tensor] of operation.outputs.entries()) {
      wires[tensor] = { ...outputs[i], shape: program.tensors[tensor].shape };
    }
  }
  graph.scope = `${scope}/update`;
  const updates: Wire[] = [];
  for (const [name, { tensor, assigned }] of Object.entries(program.variables)) {
    if (assigned === undefined || assigned === tensor) continue;
    const value = graph.cast(wires[assigned], 'float32');
    updates.push(assign(graph, handles.get(name)!, fed.has(value.ref) ? graph.deepCopy(value) : value, wires[tensor]));
  }
  const refs = (numbers: Readonly<Record<string, number>>, wireOf: (tensor: number) => Wire) =>
    Object.fromEntries(Object.entries(numbers).map(([name, tensor]) => [name, wireOf(tensor).ref]));
  // A tensor cannot be both fed and fetched.
  const fetched = (tensor: number) => {
    const wire = graph.cast(wires[tensor], program.tensors[tensor].dtype);
    return fed.has(wire.ref) ? graph.identity(wire) : wire;
  };
  return {
    feeds: refs(program.inputs, (tensor) => wires[tensor]),
    outputs: refs(program.outputs, fetched),
    ...(updates.length > 0 && { done: after(graph, updates) }),
  };
}

/** Values that nobody reads but products. */
function operandsOf(program: Program): Set<number> {
  const operands = new Set<number>();
  const others = resultsOf(program);
  for (const { name, inputs } of program.operations) {
    for (const [i, tensor] of inputs.entries())
      (known.get(name)?.operands?.includes(i) ? operands : others).add(tensor);
  }
  return new Set([...operands].filter((tensor) => !others.has(tensor)));
}

/** Signs that names of nodes may have. */
function nodeName(name: string): string {
  return name.replace(/[^\w.]/g, '_');
}

function assign(graph: Graph, handle: Wire, value: Wire, read?: Wire): Wire {
  const attributes = { dtype: { type: value.dtype } } as const;
  return graph.effect('AssignVariableOp', [handle, value], value.dtype, '', attributes, { after: read ? [read] : [] });
}

/** A scalar that is there when all of `nodes` have run. */
function after(graph: Graph, nodes: readonly Wire[]): string {
  const attributes = { T: { type: 'int32' } } as const;
  return graph.effect('Identity', [graph.int(1)], 'int32', 'output', attributes, { name: 'done', after: nodes }).ref;
}

/** Numbers of the program and the operation that a node's name, found in a message of TensorFlow, belongs to. */
export function locate(message: string): { program: number; operation: number } | undefined {
  const found = /(\d+)\.[\w.]*\/(\d+)\.\w+\//.exec(message);
  return found ? { program: Number(found[1]), operation: Number(found[2]) } : undefined;
}
