/**
 * Vectors of 256 bits: WebAssembly has none, but V8 can make one machine operation of two neighbouring SIMD operations
 * (its revectorizer, on x64 with AVX2; behind a flag that Node has since 22 and that gains something since 24). Results
 * are the same bits, only sooner. Kernels that profit are written for it, and slower without it, so whether it works is
 * found out by running one: nothing else tells what the compiler made of it.
 *
 * Whoever starts Node with --no-experimental-wasm-revectorize keeps it off.
 */
import { setFlagsFromString } from 'node:v8';
import { importsOf } from './imports.js';

const flag = 'experimental-wasm-revectorize';

/** Floating-point operations of a run: 12 chains of four floats, or 24. */
const narrowRounds = 2000;
const wideRounds = narrowRounds / 2;
/** Address of what the second loop reads and writes. */
const floats = 1024;
/** Long enough for the optimising compiler to take over both loops, which takes about 5 ms. */
const leastRuns = 1000;
const leastMs = 15;
/** 1.95 was measured with 256 bits, 0.8 to 0.92 without. */
const leastGain = 1.4;

let isWide: boolean | undefined;

/**
 * Whether kernels written for it are the faster ones here; from then on V8 does so wherever it can, if they are. To be
 * asked before anything of the module has run. Takes 15 ms the first time in a process.
 */
export function hasWideVectors(module: WebAssembly.Module): boolean {
  if (isWide === undefined) {
    allowWideVectors(true);
    isWide = gainOfWide(module) >= leastGain;
    if (!isWide) allowWideVectors(false);
  }
  return isWide;
}

/** Counts for what V8 optimises from now on, where it knows how. */
function allowWideVectors(isAllowed: boolean): void {
  const { variables } = process.config as { variables: Record<string, unknown> };
  if (variables.v8_enable_wasm_simd256_revec === 1 && !process.execArgv.includes(`--no-${flag}`)) {
    setFlagsFromString(isAllowed ? `--${flag}` : `--no-${flag}`);
  }
}

/** Best time of the loop on registers of 128 bits by that of the same work for 256. */
function gainOfWide(module: WebAssembly.Module): number {
  const memory = new WebAssembly.Memory({ initial: 1, maximum: 1, shared: true });
  new Float32Array(memory.buffer).fill(0.5);
  const instance = new WebAssembly.Instance(module, importsOf(memory));
  const { multiplyAddPeak, multiplyAddPeakWide } = instance.exports as Record<string, (...values: number[]) => void>;
  let narrow = Number.POSITIVE_INFINITY;
  let wide = Number.POSITIVE_INFINITY;
  const start = performance.now();
  for (let run = 0, from = start; run < leastRuns || from - start < leastMs; run++) {
    multiplyAddPeak(narrowRounds, 0.5, 0.5);
    const between = performance.now();
    multiplyAddPeakWide(wideRounds, floats);
    const to = performance.now();
    narrow = Math.min(narrow, between - from);
    wide = Math.min(wide, to - between);
    from = to;
  }
  return narrow / wide;
}
