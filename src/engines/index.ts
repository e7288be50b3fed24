/** Engines by name; each is loaded only when it is asked for. */
import { GalvaniError, nearestName } from '../errors.js';
import type { Engine, LoadOptions } from './engine.js';
import { complaintAbout, wrongOption } from './options.js';

const loaders: Record<string, () => Promise<Engine>> = {
  wasm: async () => (await import('./wasm/wasm.js')).wasmEngine,
  tensorflow: async () => (await import('./tensorflow/tensorflow.js')).tensorflowEngine,
  tfjs: async () => (await import('./tfjs/tfjs.js')).tfjsEngine,
  'tfjs-plain': async () => (await import('./tfjs/tfjs.js')).plainTfjsEngine,
  reference: async () => (await import('./reference/reference.js')).referenceEngine,
};

export const engineNames = Object.keys(loaders);

/** @throws GalvaniError for a name that is none, and for options that the engine cannot fulfil, with those that can. */
export async function loadEngine(name: string, options: LoadOptions = {}): Promise<Engine> {
  if (Object.hasOwn(loaders, name)) {
    const engine = await loaders[name]();
    const complaint = complaintAbout(engine, options);
    if (complaint) throw wrongOption(complaint, await remedyFor(options));
    return engine;
  }
  const nearest = nearestName(name, engineNames);
  throw new GalvaniError({
    stage: 'engine',
    expected: `an engine (${engineNames.join(', ')})`,
    got: `"${name}"`,
    remedy: nearest ? `Did you mean "${nearest}"?` : 'Choose one of them with --engine.',
    kind: 'wrongUse',
  });
}

async function remedyFor(options: LoadOptions): Promise<string> {
  const engines = await Promise.all(Object.values(loaders).map((load) => load()));
  const able = engines.filter((engine) => complaintAbout(engine, options) === undefined);
  if (able.length === 0) return 'No engine can; choose another setting.';
  return `Choose --engine ${able.map(({ name }) => name).join(' or ')}, or another setting.`;
}
