/** Engines by name; each is loaded only when it is asked for. */
import { GalvaniError, nearestName } from '../errors.js';
import type { Engine } from './engine.js';

const loaders: Record<string, () => Promise<Engine>> = {
  wasm: async () => (await import('./wasm/wasm.js')).wasmEngine,
  reference: async () => (await import('./reference/reference.js')).referenceEngine,
};

export const engineNames = Object.keys(loaders);

export async function loadEngine(name: string): Promise<Engine> {
  if (Object.hasOwn(loaders, name)) return loaders[name]();
  const nearest = nearestName(name, engineNames);
  throw new GalvaniError({
    stage: 'engine',
    expected: `an engine (${engineNames.join(', ')})`,
    got: `"${name}"`,
    remedy: nearest ? `Did you mean "${nearest}"?` : 'Choose one of them with --engine.',
    kind: 'wrongUse',
  });
}
