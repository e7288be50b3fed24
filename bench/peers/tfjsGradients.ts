/**
 * TensorFlow.js's own gradients under Node, from tfjs-core alone. Its package has them for bundlers only: ES modules that
 * do not say so, imported without endings. A hook of Node's resolution says both. What they register is global, so that
 * they serve the copy of tfjs-core that Node loads; and they are what `@tensorflow/tfjs` registers.
 */
import { type ResolveHook, register } from 'node:module';

const files = '@tensorflow/tfjs-core/dist/';

export async function registerGradients(): Promise<void> {
  register(import.meta.url);
  await import(`${files}register_all_gradients.js`);
}

export const resolve: ResolveHook = async (specifier, context, next) => {
  const isInside = specifier.startsWith('.') && context.parentURL?.includes(files);
  if (!isInside && !specifier.startsWith(files)) return next(specifier, context);
  const file = specifier.endsWith('.js') ? specifier : `${specifier}.js`;
  return { ...(await next(file, context)), format: 'module' };
};
