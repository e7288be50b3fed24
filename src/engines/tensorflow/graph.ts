/**
 * A TensorFlow graph under construction, and its bytes as a SavedModel: what `loadSavedModel` of the binding takes, and
 * nothing more (no schema version, signatures or variables folder; measured in engine-facts §4).
 *
 * Field numbers are those of tensorflow/core/framework/{graph,node_def,attr_value,function,op_def,tensor}.proto and
 * core/protobuf/{saved_model,meta_graph}.proto of 2.21.
 */
import protobuf from 'protobufjs/minimal.js';
import { type NodeOptions, Nodes } from './nodes.js';

type Writer = protobuf.Writer;

/** Numbers of tensorflow/core/framework/types.proto. */
const dataTypes = {
  float32: 1,
  float64: 2,
  int32: 3,
  uint8: 4,
  int64: 9,
  bool: 10,
  complex128: 18,
  bfloat16: 14,
  uint16: 17,
  resource: 20,
  uint32: 22,
  uint64: 23,
} as const;
export type DataType = keyof typeof dataTypes;

/** One output of a node, or an argument of a function. */
export interface Wire {
  /** As another node of the same graph or function names it. */
  readonly ref: string;
  readonly dtype: DataType;
  /** Where it is known. */
  readonly shape?: readonly number[];
  /** Of a sum: what it adds. */
  readonly terms?: readonly Wire[];
}

export type Attribute =
  | { readonly type: DataType }
  | { readonly types: readonly DataType[] }
  | { readonly int: number }
  | { readonly bool: boolean }
  | { readonly string: string }
  | { readonly shape: readonly number[] }
  | { readonly tensor: { dtype: DataType; shape: readonly number[]; bytes: Uint8Array } }
  | { readonly function: string };
export type Attributes = Readonly<Record<string, Attribute>>;

interface NodeDef {
  readonly name: string;
  readonly op: string;
  /** Refs, and `^name` of nodes that must have run before. */
  readonly inputs: readonly string[];
  readonly device: string;
  readonly attributes: Attributes;
}

interface FunctionDef {
  readonly name: string;
  readonly inputs: readonly Wire[];
  readonly outputs: readonly Wire[];
  readonly nodes: readonly NodeDef[];
}

/** Runs on the host even where there is a GPU: arithmetic on a few integers. */
export const host = '/device:CPU:0';

export class Graph extends Nodes {
  readonly #nodes: NodeDef[] = [];
  readonly #names = new Map<string, number>();
  readonly #functions = new Map<string, FunctionDef>();
  /** Prefix of the names of nodes that are added. */
  scope = '';

  /**
   * Calls a function of elementwise operations and reductions, which XLA compiles into one loop. Calls that share `parts`
   * and the types of their inputs share its definition, so whatever else `body` depends on belongs into `parts`. It
   * computes in float32: inputs that are bfloat16 come to it as float32.
   */
  block(
    parts: readonly (string | number | boolean)[],
    inputs: readonly Wire[],
    body: (nodes: Nodes, inputs: Wire[]) => Wire[],
  ): Wire[] {
    const name = functionName([...parts, inputs.map(({ dtype }) => (dtype === 'bfloat16' ? 'b' : '')).join('')]);
    const known = this.#functions.get(name) ?? defineFunction(name, inputs, body);
    this.#functions.set(name, known);
    const { ref } = this.node('PartitionedCall', inputs, known.outputs[0].dtype, '', {
      Tin: { types: inputs.map(({ dtype }) => dtype) },
      Tout: { types: known.outputs.map(({ dtype }) => dtype) },
      f: { function: name },
      _XlaMustCompile: { bool: true },
    });
    const node = ref.slice(0, -2);
    return known.outputs.map(({ dtype }, i) => ({ ref: `${node}:${i}`, dtype }));
  }

  /** Name of a node by one of its outputs, to be used as a control input. */
  static nodeOf({ ref }: Wire): string {
    return ref.slice(0, ref.lastIndexOf(':'));
  }

  /** Contents of saved_model.pb. */
  savedModel(): Uint8Array {
    const file = protobuf.Writer.create();
    message(file, 2, (metaGraph) => {
      message(metaGraph, 1, (info) => text(info, 4, 'serve'));
      message(metaGraph, 2, (graph) => {
        for (const node of this.#nodes) message(graph, 1, (writer) => writeNode(writer, node));
        message(graph, 2, (library) => {
          for (const one of this.#functions.values()) message(library, 1, (writer) => writeFunction(writer, one));
        });
      });
    });
    return file.finish();
  }

  protected append(
    op: string,
    inputs: readonly Wire[],
    _output: string,
    attributes: Attributes,
    { name = op, after = [], device = '' }: NodeOptions,
  ): string {
    const wanted = this.scope === '' ? name : `${this.scope}/${name}`;
    const count = this.#names.get(wanted) ?? 0;
    this.#names.set(wanted, count + 1);
    const unique = count === 0 ? wanted : `${wanted}_${count}`;
    const controls = after.map((wire) => `^${Graph.nodeOf(wire)}`);
    this.#nodes.push({ name: unique, op, inputs: [...inputs.map(({ ref }) => ref), ...controls], device, attributes });
    return `${unique}:0`;
  }
}

/** The body of a function: its nodes name outputs as `node:argument:0`. */
class FunctionBody extends Nodes {
  readonly nodes: NodeDef[] = [];

  protected append(
    op: string,
    inputs: readonly Wire[],
    output: string,
    attributes: Attributes,
    _options: NodeOptions,
  ): string {
    const name = `n${this.nodes.length}`;
    this.nodes.push({ name, op, inputs: inputs.map(({ ref }) => ref), device: '', attributes });
    return `${name}:${output}:0`;
  }
}

function defineFunction(
  name: string,
  inputs: readonly Wire[],
  body: (nodes: Nodes, inputs: Wire[]) => Wire[],
): FunctionDef {
  const nodes = new FunctionBody();
  const parameters = inputs.map(({ dtype }, i) => ({ ref: `input${i}`, dtype }));
  const wide = parameters.map((wire) => (wire.dtype === 'bfloat16' ? nodes.cast(wire, 'float32') : wire));
  const outputs = body(nodes, wide);
  return { name, inputs: parameters, outputs, nodes: nodes.nodes };
}

/** Letters, digits and underscores; other signs of numbers are spelled out. */
function functionName(parts: readonly (string | number | boolean)[]): string {
  return parts.map((part) => String(part).replace(/[^\w]/g, (sign) => `_${sign.charCodeAt(0)}_`)).join('_');
}

function message(writer: Writer, field: number, body: (inner: Writer) => void): void {
  writer.uint32((field << 3) | 2).fork();
  body(writer);
  writer.ldelim();
}

function text(writer: Writer, field: number, value: string): void {
  writer.uint32((field << 3) | 2).string(value);
}

function number(writer: Writer, field: number, value: number): void {
  writer.uint32(field << 3).int64(value);
}

function writeNode(writer: Writer, { name, op, inputs, device, attributes }: NodeDef): void {
  text(writer, 1, name);
  text(writer, 2, op);
  for (const input of inputs) text(writer, 3, input);
  if (device !== '') text(writer, 4, device);
  for (const [key, value] of Object.entries(attributes)) {
    message(writer, 5, (entry) => {
      text(entry, 1, key);
      message(entry, 2, (inner) => writeAttribute(inner, value));
    });
  }
}

function writeAttribute(writer: Writer, value: Attribute): void {
  if ('type' in value) number(writer, 6, dataTypes[value.type]);
  else if ('int' in value) number(writer, 3, value.int);
  else if ('bool' in value) number(writer, 5, value.bool ? 1 : 0);
  else if ('string' in value) text(writer, 2, value.string);
  else if ('shape' in value) message(writer, 7, (inner) => writeShape(inner, value.shape));
  else if ('function' in value) message(writer, 10, (inner) => text(inner, 1, value.function));
  else if ('types' in value) {
    message(writer, 1, (list) => {
      for (const type of value.types) number(list, 6, dataTypes[type]);
    });
  } else {
    const { dtype, shape, bytes } = value.tensor;
    message(writer, 8, (inner) => {
      number(inner, 1, dataTypes[dtype]);
      message(inner, 2, (dims) => writeShape(dims, shape));
      inner.uint32((4 << 3) | 2).bytes(bytes);
    });
  }
}

function writeShape(writer: Writer, shape: readonly number[]): void {
  for (const extent of shape) message(writer, 2, (dim) => number(dim, 1, extent));
}

function writeFunction(writer: Writer, { name, inputs, outputs, nodes }: FunctionDef): void {
  message(writer, 1, (signature) => {
    text(signature, 1, name);
    const argument = (field: number, label: string, dtype: DataType) =>
      message(signature, field, (inner) => {
        text(inner, 1, label);
        number(inner, 3, dataTypes[dtype]);
      });
    for (const { ref, dtype } of inputs) argument(2, ref, dtype);
    for (const [i, { dtype }] of outputs.entries()) argument(3, `output${i}`, dtype);
  });
  for (const node of nodes) message(writer, 3, (inner) => writeNode(inner, node));
  for (const [i, { ref }] of outputs.entries()) {
    message(writer, 4, (entry) => {
      text(entry, 1, `output${i}`);
      text(entry, 2, ref);
    });
  }
}
