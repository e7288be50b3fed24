/**
 * What a long command says while it works, on standard error: one line that is redrawn on a terminal, a plain line now
 * and then elsewhere (a log keeps them). Nothing here reads the clock for the work itself.
 */
import type { WriteStream } from 'node:tty';

const terminalMs = 100;
const plainMs = 10_000;

export interface Progress {
  /** Offer the state of things; it is shown when the last one shown is old enough. */
  show(text: () => string): void;
  /** Clear the redrawn line: what is printed next begins on an empty one. */
  end(): void;
}

export function openProgress(stream: NodeJS.WriteStream | WriteStream = process.stderr): Progress {
  const isTerminal = stream.isTTY === true && process.env.TERM !== 'dumb';
  // A log needs no line for work that is done within the first seconds.
  let shownAt = isTerminal ? Number.NEGATIVE_INFINITY : performance.now();
  let isDrawn = false;
  return {
    show(text) {
      const now = performance.now();
      if (now - shownAt < (isTerminal ? terminalMs : plainMs)) return;
      shownAt = now;
      stream.write(isTerminal ? `\r${fit(text(), stream.columns)}\x1b[K` : `${text()}\n`);
      isDrawn = isTerminal;
    },
    end() {
      if (isDrawn) stream.write('\r\x1b[K');
      isDrawn = false;
    },
  };
}

/** A line that wraps could not be redrawn. */
function fit(text: string, columns = 80): string {
  return text.length < columns ? text : `${text.slice(0, columns - 2)}…`;
}
