/** Tokens for people: words joined again, each marked by how likely it was replaced, in colour or in plain letters. */
import { createColors } from 'picocolors';

/** Below it a token is shown as it is: about every seventh token is replaced in training. */
const doubtful = 0.25;
const likely = 0.5;

/**
 * `the chef ate the meal` with `ate` in yellow (at least 25 % likely replaced) or bold red (50 %); without colour the
 * percentage stands behind it: `the chef ate(87%) the meal`.
 */
export function markTokens(tokens: readonly string[], probabilities: readonly number[], hasColour: boolean): string {
  const colours = createColors(hasColour);
  return tokens
    .map((token, i) => {
      const isContinued = i > 0 && token.startsWith('##');
      const text = isContinued ? token.slice(2) : token;
      return `${i === 0 || isContinued ? '' : ' '}${mark(text, probabilities[i])}`;
    })
    .join('');

  function mark(text: string, probability: number): string {
    if (!(probability >= doubtful)) return text;
    if (!hasColour) return `${text}(${Math.round(100 * probability)}%)`;
    return probability >= likely ? colours.bold(colours.red(text)) : colours.yellow(text);
  }
}

/** Colour is for terminals, unless NO_COLOR says otherwise (no-color.org). */
export function wantsColour(stream: { isTTY?: boolean } = process.stdout): boolean {
  return stream.isTTY === true && !process.env.NO_COLOR && process.env.TERM !== 'dumb';
}

interface Filled {
  readonly tokens: readonly string[];
  readonly masks: readonly {
    readonly place: number;
    readonly candidates: readonly { readonly token: string; readonly probability: number }[];
  }[];
}

/** The text, and below it a line for each [MASK]: `1. house 41.2 %, end 7.5 %, …`. */
export function formatCandidates({ tokens, masks }: Filled): string {
  const lines = masks.map(({ candidates }, i) => {
    const list = candidates.map(({ token, probability }) => `${token} ${(100 * probability).toFixed(1)} %`);
    return `  ${i + 1}. ${list.join(', ')}\n`;
  });
  return `${markTokens(tokens, [], false)}\n${lines.join('')}`;
}
