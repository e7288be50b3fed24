/**
 * A worker of the loader: one task that lasts as long as the loader does. Worker w of W makes the steps startStep + w,
 * startStep + w + W, …, each as soon as its slot is free, until the ring is stopped or the pass has ended.
 * Errors leave as data, since an error loses its class between threads.
 */
import { type ErrorParts, GalvaniError } from '../errors.js';
import { BatchMaker } from './maker.js';
import type { BatchPlan } from './plan.js';
import { Ring, Stopped } from './ring.js';

export interface WorkerTask {
  plan: BatchPlan;
  /** Over the shared memory. */
  control: Int32Array;
  module: WebAssembly.Module;
  memory: WebAssembly.Memory;
  worker: number;
}

/** Undefined when it was stopped or the pass has ended. */
export type WorkerAnswer = ErrorParts | undefined;

export default function fillSlots({ plan, control, module, memory, worker }: WorkerTask): WorkerAnswer {
  const ring = new Ring(control, plan.slots, plan.workers);
  const maker = new BatchMaker(plan, module, memory, worker, ring);
  try {
    for (let step = plan.startStep + worker; step < plan.endStep; step += plan.workers) {
      ring.noteStep(worker, step);
      maker.announce(step);
      ring.waitUntilFree(step);
      const start = performance.now();
      const counts = maker.make(step);
      ring.addBusy(worker, performance.now() - start);
      ring.publish(step, counts);
    }
    maker.announceEnd();
    return undefined;
  } catch (error) {
    if (error instanceof Stopped) return undefined;
    if (!(error instanceof GalvaniError)) throw error;
    return { ...error.parts, cause: undefined };
  } finally {
    maker.close();
  }
}
