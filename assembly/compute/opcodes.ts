/**
 * What host and kernels must agree about, the one file that both compilers read: what a tape can say (written by
 * src/engines/wasm, read by tape.ts), the control block, and extents.
 * The number of an opcode is its place; its arguments are listed where its kernel stands.
 */
export enum Opcode {
  // packing.ts
  PackPlaces,
  UnpackPlaces,
  // gemm.ts
  PackTransposed,
  PackRows,
  PackBands,
  MultiplyRows,
  MultiplyBands,
  // elementwise.ts
  Copy,
  Fill,
  Add,
  Scale,
  ActivationGradient,
  Erf,
  Dropout,
  // norm.ts
  LayerNorm,
  AddNorm,
  LayerNormGradient,
  LayerNormParameterGradient,
  BiasGradient,
  // embed.ts
  Embed,
  EmbedGradient,
  GatherRows,
  ScatterRows,
  Replace,
  // attention.ts
  Attention,
  AttentionGradient,
  // lmHead.ts
  LmHeadBlocks,
  LmHeadRows,
  LmHeadSum,
  LmHeadGradient,
  LmHeadHidden,
  // binaryCrossEntropy.ts
  BinaryCrossEntropyRows,
  BinaryCrossEntropySum,
  BinaryCrossEntropyGradient,
  // losses.ts
  SoftmaxTerms,
  SoftmaxGradient,
  SquaredTerms,
  SquaredGradient,
  MeanOfTerms,
  // parts.ts
  CopyColumns,
  FirstToken,
  FirstTokenGradient,
  // optimizer.ts
  Squares,
  Norm,
  Clip,
  AdamW,
  // finite.ts
  CheckFinite,
}

/** Bits of the first word of an entry, above its opcode. */
export enum EntryBit {
  /** All threads have finished what stands before. */
  Barrier = 0x10000,
  /** Thread 0 alone. */
  Sole = 0x20000,
}

/** Words of an entry before its arguments: opcode and bits, words of the whole entry, number of the operation, units taken. */
export enum TapeLayout {
  EntryHeaderWords = 4,
  /** How many units of the entry threads have asked for: shares.ts. */
  TakenWord = 3,
  /**
   * Words before the first entry: words of the whole tape, address of the operations' start times or 0, and 1 where the
   * machine takes two neighbouring vectors as one (src/engines/wasm/wide.ts).
   */
  HeaderWords = 3,
  WideWord = 2,
}

/** Extents that a kernel works in, and by which the host sets memory aside. */
export enum Block {
  /** Depth of a block of a matrix product. */
  Depth = 512,
  /** Elements of one partial sum of squares. */
  Squares = 4096,
  /** Rows of one partial sum over rows. */
  Rows = 128,
  /** Dropout decisions that are drawn at a time: a multiple of 64. */
  Decisions = 1024,
}

/** Extents of lmHead.ts. */
export enum LmHead {
  /** Rows of a band of gemm.ts. */
  Band = 6,
  /** Places whose gradient of a block of logits is in scratch at a time; whole bands. */
  Chunk = 96,
  /** Words beyond a block's own: a Philox block of 32 at either end. */
  SpareWords = 64,
}

/** What CheckFinite leaves where all that it looked at is finite; else the number of the first operation that made something else. */
export enum FirstNonFinite {
  None = 0x7fffffff,
}

/** What a thread says of itself, as byte offsets in its scratch (scratch.ts). */
export enum Place {
  /** Barriers that it has come to. */
  Barriers = 0,
  /** Address of the entry that it walks, or of the last one. */
  Entry = 4,
  /** How long it has waited at barriers of profiled programs (f64, ms). */
  Waited = 8,
}

/** Byte offsets in the control block, a cache line each so that waiting disturbs nobody. */
export enum Control {
  Arrived = 0,
  Generation = 64,
  Sleepers = 128,
  Submitted = 192,
  Completed = 256,
  /** Address of the tape of job n at Tapes + 4 (n mod 2); 0 ends the team. */
  Tapes = 320,
  Bytes = 384,
}
