/**
 * Walks a tape: one entry after another, every thread all of them, what is to be done taken by whoever is free.
 *
 *   tape   words of the whole tape, address of start times or 0, whether vectors are wide, then entries
 *   entry  opcode and bits, words of the entry, number of the operation it belongs to, units taken, arguments
 *
 * With start times (profiling) every operation begins with a barrier, thread 0 writes the clock there (f64, ms), and each
 * thread adds up how long it waits at barriers.
 * A new kernel is one line here, one opcode in opcodes.ts, and its function.
 */
import { attention, attentionGradient } from './attention';
import { barrier } from './barrier';
import { binaryCrossEntropyGradient, binaryCrossEntropyRows, binaryCrossEntropySum } from './binaryCrossEntropy';
import { activationGradient, add, copy, dropout, erf, fill, scale } from './elementwise';
import { embed, embedGradient, gatherRows, replace, scatterRows } from './embed';
import { checkFinite } from './finite';
import { multiplyBands, multiplyRows, packBands, packRows, packTransposed } from './gemm';
import { lmHeadBlocks, lmHeadGradient, lmHeadHidden, lmHeadRows, lmHeadSum } from './lmHead';
import { meanOfTerms, softmaxGradient, softmaxTerms, squaredGradient, squaredTerms } from './losses';
import { writeGelu } from './math';
import { addNorm, biasGradient, layerNorm, layerNormGradient, layerNormParameterGradient } from './norm';
import { EntryBit, Opcode, TapeLayout } from './opcodes';
import { adamW, clip, norm, squares } from './optimizer';
import { packPlaces, unpackPlaces } from './packing';
import { copyColumns, firstToken, firstTokenGradient } from './parts';
import { SCRATCH_ENTRY, SCRATCH_GELU, SCRATCH_WAITED, SCRATCH_WIDE, SCRATCH_ZEROS } from './scratch';
import { takeUnit } from './shares';

@external("env", "now")
declare function now(): f64;

export function walk(tape: usize, control: usize, thread: i32, threads: i32, spins: i32, scratch: usize): void {
  const end = tape + (<usize>load<u32>(tape) << 2);
  const times = load<usize>(tape, 4);
  writeGelu(scratch + SCRATCH_GELU);
  memory.fill(scratch + SCRATCH_ZEROS, 0, 64);
  store<i32>(scratch + SCRATCH_WIDE, load<i32>(tape, TapeLayout.WideWord * 4));
  let operation = -1;
  let at = tape + TapeLayout.HeaderWords * 4;
  while (at < end) {
    store<usize>(scratch + SCRATCH_ENTRY, at);
    const head = load<u32>(at);
    const next = load<i32>(at, 8);
    if (times != 0 && next != operation) {
      timedBarrier(control, threads, spins, scratch);
      // What was waited until the first operation began is not the step's.
      if (operation < 0) store<f64>(scratch + SCRATCH_WAITED, 0);
      operation = next;
      if (thread == 0) store<f64>(times + (<usize>operation << 3), now());
    } else if ((head & EntryBit.Barrier) != 0) {
      if (times != 0) timedBarrier(control, threads, spins, scratch);
      else barrier(control, threads, spins, scratch);
    }
    const args = at + TapeLayout.EntryHeaderWords * 4;
    if ((head & EntryBit.Sole) == 0) runTogether(head & 0xffff, args, threads, scratch);
    else if (thread == 0) run(head & 0xffff, args, 0, 1, scratch);
    at += <usize>load<u32>(at, 4) << 2;
  }
  if (times != 0) {
    timedBarrier(control, threads, spins, scratch);
    if (thread == 0) store<f64>(times + (<usize>(operation + 1) << 3), now());
  }
}

function timedBarrier(control: usize, threads: i32, spins: i32, scratch: usize): void {
  const from = now();
  barrier(control, threads, spins, scratch);
  store<f64>(scratch + SCRATCH_WAITED, load<f64>(scratch + SCRATCH_WAITED) + now() - from);
}

/** Shares that a thread comes for on average in an entry that is shared out evenly. */
const SHARES: i32 = 8;

/** A thread's part in an entry: units that a kernel takes by itself, or even shares. */
function runTogether(opcode: u32, args: usize, threads: i32, scratch: usize): void {
  switch (opcode) {
    case Opcode.PackTransposed: { packTransposed(args, threads); break; }
    case Opcode.PackRows: { packRows(args, threads); break; }
    case Opcode.PackBands: { packBands(args, threads); break; }
    case Opcode.MultiplyRows: { multiplyRows(args, threads, scratch); break; }
    case Opcode.MultiplyBands: { multiplyBands(args, threads, scratch); break; }
    case Opcode.Attention: { attention(args, threads, scratch); break; }
    case Opcode.AttentionGradient: { attentionGradient(args, threads, scratch); break; }
    case Opcode.LmHeadBlocks: { lmHeadBlocks(args, threads, scratch); break; }
    case Opcode.LmHeadGradient: { lmHeadGradient(args, threads, scratch); break; }
    default: {
      const shares = threads == 1 ? 1 : threads * SHARES;
      for (let share = takeUnit(args, shares, threads); share >= 0; share = takeUnit(args, shares, threads)) {
        run(opcode, args, share, shares, scratch);
      }
    }
  }
}

/** One of `threads` even shares of an entry; its kernel cuts it as if that thread were to do it. */
function run(opcode: u32, args: usize, thread: i32, threads: i32, scratch: usize): void {
  switch (opcode) {
    case Opcode.PackPlaces: { packPlaces(args); break; }
    case Opcode.UnpackPlaces: { unpackPlaces(args, thread, threads); break; }
    case Opcode.Copy: { copy(args, thread, threads); break; }
    case Opcode.Fill: { fill(args, thread, threads); break; }
    case Opcode.Add: { add(args, thread, threads); break; }
    case Opcode.Scale: { scale(args, thread, threads); break; }
    case Opcode.ActivationGradient: { activationGradient(args, thread, threads, scratch); break; }
    case Opcode.Erf: { erf(args, thread, threads); break; }
    case Opcode.Dropout: { dropout(args, thread, threads, scratch); break; }
    case Opcode.LayerNorm: { layerNorm(args, thread, threads); break; }
    case Opcode.AddNorm: { addNorm(args, thread, threads, scratch); break; }
    case Opcode.LayerNormGradient: { layerNormGradient(args, thread, threads); break; }
    case Opcode.LayerNormParameterGradient: { layerNormParameterGradient(args, thread, threads); break; }
    case Opcode.BiasGradient: { biasGradient(args, thread, threads); break; }
    case Opcode.Embed: { embed(args, thread, threads); break; }
    case Opcode.EmbedGradient: { embedGradient(args, thread, threads); break; }
    case Opcode.GatherRows: { gatherRows(args, thread, threads); break; }
    case Opcode.ScatterRows: { scatterRows(args, thread, threads); break; }
    case Opcode.Replace: { replace(args, thread, threads); break; }
    case Opcode.LmHeadRows: { lmHeadRows(args, thread, threads); break; }
    case Opcode.LmHeadSum: { lmHeadSum(args); break; }
    case Opcode.LmHeadHidden: { lmHeadHidden(args, thread, threads); break; }
    case Opcode.BinaryCrossEntropyRows: { binaryCrossEntropyRows(args, thread, threads); break; }
    case Opcode.BinaryCrossEntropySum: { binaryCrossEntropySum(args); break; }
    case Opcode.BinaryCrossEntropyGradient: { binaryCrossEntropyGradient(args, thread, threads); break; }
    case Opcode.SoftmaxTerms: { softmaxTerms(args, thread, threads); break; }
    case Opcode.SoftmaxGradient: { softmaxGradient(args, thread, threads); break; }
    case Opcode.SquaredTerms: { squaredTerms(args, thread, threads); break; }
    case Opcode.SquaredGradient: { squaredGradient(args, thread, threads); break; }
    case Opcode.MeanOfTerms: { meanOfTerms(args); break; }
    case Opcode.CopyColumns: { copyColumns(args, thread, threads); break; }
    case Opcode.FirstToken: { firstToken(args, thread, threads); break; }
    case Opcode.FirstTokenGradient: { firstTokenGradient(args, thread, threads); break; }
    case Opcode.Squares: { squares(args, thread, threads); break; }
    case Opcode.Norm: { norm(args); break; }
    case Opcode.Clip: { clip(args); break; }
    case Opcode.AdamW: { adamW(args, thread, threads); break; }
    case Opcode.CheckFinite: { checkFinite(args, thread, threads); break; }
    default: unreachable();
  }
}
