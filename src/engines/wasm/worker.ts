/**
 * A thread of the team: an instance of the compute module on the shared memory, which from then on waits for work
 * inside wasm. It says `ready` once and posts nothing more; an error ends it and reaches the main thread as one.
 */
import { parentPort, workerData } from 'node:worker_threads';
import { importsOf } from './imports.js';

export interface WorkerSettings {
  readonly module: WebAssembly.Module;
  readonly memory: WebAssembly.Memory;
  readonly control: number;
  readonly thread: number;
  readonly threads: number;
  readonly spins: number;
  readonly scratch: number;
}

type Serve = (control: number, thread: number, threads: number, spins: number, scratch: number) => void;

const { module, memory, control, thread, threads, spins, scratch } = workerData as WorkerSettings;
const instance = new WebAssembly.Instance(module, importsOf(memory));
const serve = instance.exports.serve as Serve;
parentPort?.postMessage('ready');
serve(control, thread, threads, spins, scratch);
