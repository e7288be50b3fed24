import assert from 'node:assert/strict';
import { test } from 'node:test';
import { formatCandidates, markTokens } from '../../src/report/tokens.js';

const tokens = ['the', 'chef', 'walk', '##ed', 'the', 'meal', '.'];
const probabilities = [0.01, 0.2499, 0.25, 0.5, 0.873, Number.NaN, 0];

test('without colour, doubtful tokens carry their percentage and words are joined', () => {
  assert.equal(markTokens(tokens, probabilities, false), 'the chef walk(25%)ed(50%) the(87%) meal .');
});

test('with colour, doubtful tokens are yellow and likely ones bold red', () => {
  const red = (text: string) => `\x1b[1m\x1b[31m${text}\x1b[39m\x1b[22m`;
  assert.equal(
    markTokens(tokens, probabilities, true),
    `the chef \x1b[33mwalk\x1b[39m${red('ed')} ${red('the')} meal .`,
  );
});

test('a first continuing piece keeps its mark, and no tokens are an empty line', () => {
  assert.equal(markTokens(['##ed', 'x'], [0, 0], false), '##ed x');
  assert.equal(markTokens([], [], true), '');
});

test('candidates stand in a line a mask, best first', () => {
  const candidates = [
    { token: 'cat', probability: 0.4123 },
    { token: '##s', probability: 0.07 },
  ];
  assert.equal(
    formatCandidates({ tokens: ['a', '[MASK]', '.'], masks: [{ place: 1, candidates }] }),
    'a [MASK] .\n  1. cat 41.2 %, ##s 7.0 %\n',
  );
});
