/**
 * Work that SIGINT and SIGTERM stop in order: the first aborts the signal that the work is given, the second ends the process
 * at once.
 */
export async function untilStopped<T>(work: (signal: AbortSignal) => Promise<T>): Promise<T> {
  const stop = new AbortController();
  const onSignal = () => stop.abort();
  for (const name of names) process.once(name, onSignal);
  try {
    return await work(stop.signal);
  } finally {
    for (const name of names) process.removeListener(name, onSignal);
  }
}

const names = ['SIGINT', 'SIGTERM'] as const;
