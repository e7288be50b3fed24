/** What the compute modules import: the memory that they work in, a clock, and a way to sleep (assembly/compute/barrier.ts). */
export function importsOf(memory: WebAssembly.Memory): Record<string, Record<string, unknown>> {
  return {
    env: {
      memory,
      now: () => performance.now(),
      sleep: (address: number, value: number) => {
        Atomics.wait(new Int32Array(memory.buffer), address >>> 2, value);
      },
    },
  };
}
