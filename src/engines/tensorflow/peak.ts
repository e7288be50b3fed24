/**
 * The ceiling of a device under this library: a chain of square matrix products in a session of its own, each of them
 * large enough that nothing but the product counts. Operands are random with a variance that the chain keeps, so that no
 * product is of zeros or infinities.
 */
import type { LoadOptions } from '../engine.js';
import { findBinding } from './binding.js';
import { uniform, words } from './draws.js';
import { prepareEnvironment } from './environment.js';
import { explain } from './explain.js';
import { Graph, type Wire } from './graph.js';
import { loadSavedModel } from './savedModel.js';
import { SessionThread } from './thread.js';

/** Extent of the matrices and products in a chain: 0.3 s on two cores; about 10 ms on an H100, whose calls cost 0.1. */
const sizes = { cpu: { extent: 1024, products: 24 }, gpu: { extent: 4096, products: 64 } };
const runs = 5;

/** GFLOP/s of multiply-adds, products in `precision`; the best of some runs. */
export async function measurePeak({ threads, precision, deterministic }: LoadOptions = {}): Promise<number> {
  const candidate = findBinding();
  prepareEnvironment({ threads, deterministic, device: candidate.device });
  const thread = new SessionThread(candidate);
  try {
    const { isGpu } = await thread.open();
    const { extent, products } = sizes[isGpu ? 'gpu' : 'cpu'];
    const { savedModel, prepare, run } = writeChain(
      extent,
      products,
      precision === 'bfloat16' ? 'bfloat16' : 'float32',
    );
    await loadSavedModel(thread, savedModel);
    await thread.run({ feeds: [], fetches: [prepare] });
    await thread.run({ feeds: [], fetches: [run] });
    const times: number[] = [];
    for (let i = 0; i < runs; i++) times.push((await thread.run({ feeds: [], fetches: [run] })).callMs);
    return (2 * extent ** 3 * products) / Math.min(...times) / 1e6;
  } catch (cause) {
    throw explain(cause, {}, 'measuring its peak');
  } finally {
    await thread.close();
  }
}

/** prepare fills a variable with the operand; run multiplies it by itself again and again. Both are scalars to fetch. */
function writeChain(extent: number, products: number, dtype: 'float32' | 'bfloat16') {
  const graph = new Graph();
  const shape = [extent, extent];
  const handle = graph.effect('VarHandleOp', [], 'resource', 'resource', {
    dtype: { type: dtype },
    shape: { shape },
    shared_name: { string: 'operand' },
  });
  const draw = graph.constant('int32', [4], new Int32Array(4));
  const drawn = words(graph, { draw, stream: 0, shape }, shape);
  const spread = Math.sqrt(12 / extent);
  const [values] = graph.block(['operand', spread], [drawn], (nodes, [drawn]) => [
    nodes.mul(nodes.sub(uniform(nodes, drawn), nodes.float(0.5)), nodes.float(spread)),
  ]);
  const operand = graph.cast(values, dtype);
  const assigned = graph.effect('AssignVariableOp', [handle, operand], dtype, '', { dtype: { type: dtype } });
  const prepare = graph.effect(
    'Identity',
    [graph.int(1)],
    'int32',
    'output',
    { T: { type: 'int32' } },
    { after: [assigned] },
  );
  const read = graph.effect('ReadVariableOp', [handle], dtype, 'value', { dtype: { type: dtype } });
  let product: Wire = read;
  for (let i = 0; i < products; i++) product = graph.matMul(product, read, {});
  const run = graph.sum(graph.cast(product, 'float32'), [0, 1]);
  return { savedModel: graph.savedModel(), prepare: prepare.ref, run: run.ref };
}
