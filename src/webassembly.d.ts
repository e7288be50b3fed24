/**
 * The part of the WebAssembly JavaScript API that Galvani uses. TypeScript declares it only in its DOM library, whose
 * other names (window, document, …) must not be in reach of code for Node.
 */
declare namespace WebAssembly {
  class Module {
    constructor(bytes: ArrayBufferView | ArrayBuffer);
    private readonly brand: 'WebAssembly.Module';
  }
  class Memory {
    constructor(descriptor: { initial: number; maximum?: number; shared?: boolean });
    /** A SharedArrayBuffer where the memory is shared. */
    readonly buffer: ArrayBuffer | SharedArrayBuffer;
    /** @returns the size before, in pages of 64 KiB. */
    grow(pages: number): number;
  }
  class Instance {
    constructor(module: Module, imports?: Record<string, Record<string, unknown>>);
    readonly exports: Record<string, unknown>;
  }
  class RuntimeError extends Error {}
  function validate(bytes: ArrayBufferView | ArrayBuffer): boolean;
  function compile(bytes: ArrayBufferView | ArrayBuffer): Promise<Module>;
}
