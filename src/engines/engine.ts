/**
 * What an engine is: it loads programs that share their variables by name, and runs them. It knows operations, not
 * ELECTRA. Everything is allocated by `load`; a step is one `submit`.
 */
import type { DType, Shape } from '../ops/operation.js';
import type { Program, VariableRole } from '../program/program.js';

export type Precision = 'float32' | 'bfloat16' | 'float64';
export type TypedArray = Float32Array | Int32Array | Float64Array;

/** One array an input of the program, of exactly its size and type; the arrays may lie in shared memory. */
export type Inputs = Readonly<Record<string, TypedArray>>;
/** One array an output; a scalar is an array of one. Float64Array only from an engine that computes in float64. */
export type Outputs = Readonly<Record<string, TypedArray>>;

export interface LoadOptions {
  /** Compute threads. Default: what the machine has. */
  threads?: number;
  /** Default: the first of the engine's. */
  precision?: Precision;
  /** Results that repeat bit for bit. */
  deterministic?: boolean;
  /** A program fails where an operation's result is not finite, and says which was the first. */
  checkFinite?: boolean;
  /** Hears what takes long while programs are loaded. */
  onNotice?: (message: string) => void;
}

export interface Engine {
  readonly name: string;
  readonly capabilities: {
    readonly precisions: readonly Precision[];
    /** Most compute threads that can be asked for; 1 where a program runs on the thread that submits it. */
    readonly mostThreads: number;
    /** Whether equal inputs give equal bits; where always, for any number of threads. */
    readonly deterministic: 'always' | 'on request' | 'never';
    readonly checksFinite: boolean;
    /** Dropout and noise are the draws of src/random/streams.ts. */
    readonly exactDraws: boolean;
    /** Most bytes that variables, inputs and values may take together. */
    readonly maxBytes: number;
  };
  load(programs: Readonly<Record<string, Program>>, options?: LoadOptions): Promise<Runtime>;
  /** GFLOP/s of multiply-adds that no program can exceed, measured now; absent where the engine knows of no such ceiling. */
  measurePeak?(options?: LoadOptions): Promise<number>;
  /** What memory far larger than any cache gives at most, measured now; absent where the engine knows of no such ceiling. */
  measureBandwidth?(options?: LoadOptions): Promise<Bandwidth>;
}

/** GB/s (10⁹ bytes) of all threads together. */
export interface Bandwidth {
  readonly read: number;
  /** Bytes read and bytes written. */
  readonly copy: number;
}

export interface Ticket {
  /** Settled when the memory of the inputs may be refilled, also where the program failed; never rejects. */
  readonly consumed: Promise<void>;
  /** Settled when the program has run; rejects with what went wrong in it. Nobody needs to listen. */
  readonly outputs: Promise<Outputs>;
}

export interface VariableInfo {
  readonly name: string;
  readonly shape: Shape;
  readonly dtype: DType;
  readonly role: VariableRole;
}

export interface MemoryReport {
  readonly variableBytes: number;
  readonly valueBytes: number;
  readonly totalBytes: number;
}

export interface OperationTime {
  readonly name: string;
  readonly scope: string;
  readonly ms: number;
  readonly flops: number;
  /** Of operands and results, if each crosses memory once. */
  readonly bytes: number;
}

export interface OperationTimes {
  /** From the start of the first operation to the end of the last. */
  readonly stepMs: number;
  /** How long a thread waited for the others, the mean of all; where threads share out an operation. */
  readonly waitedMs?: number;
  /** Empty where the engine cannot look into a program that runs. */
  readonly operations: readonly OperationTime[];
}

/** What an engine with a device of its own has done since its programs were loaded. */
export interface Traffic {
  /** Times that the device was called: for a program, a read, a write. */
  readonly calls: number;
  /** What went to the device and came from it, as bytes and as arrays. */
  readonly uploadedBytes: number;
  readonly downloadedBytes: number;
  readonly tensors: number;
  /** In these calls, and of the host for them: checks, messages, tensors made and read. */
  readonly deviceMs: number;
  readonly hostMs: number;
}

export interface Runtime {
  /** What distinguishes builds whose results differ in the last bits, such as `wasm relaxed-simd`. */
  readonly build: string;
  /**
   * Queues one program. Resolves when it is queued: at once while few are in flight, else when one of them has run.
   * Programs run in the order they were submitted. Inputs are left alone until `consumed` is settled.
   */
  submit(program: string, inputs: Inputs): Promise<Ticket>;
  variables(): VariableInfo[];
  /** A copy of the variable, as it is after all that was submitted. */
  read(name: string): Promise<TypedArray>;
  /** Gives variables copies of values, by name; none of them if one does not fit. */
  write(values: ReadonlyMap<string, TypedArray>): Promise<void>;
  /** Copies of all variables at one step boundary. */
  snapshot(): Promise<Map<string, TypedArray>>;
  memory(): MemoryReport;
  /** Absent where programs run in the host's own memory. */
  traffic?(): Traffic;
  /** Floating-point operations of a run on these inputs; absent where every place of every row is computed. */
  flopsOn?(program: string, inputs: Inputs): number;
  /** Runs the program once, state and all, with a clock around every operation. */
  profile(program: string, inputs: Inputs): Promise<OperationTimes>;
  close(): Promise<void>;
}
