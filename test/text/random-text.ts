/**
 * Random strings over weighted classes of characters: the corners of the references, and plain text between them.
 * Drawn from Philox, so that a string is a pure function of (seed, number).
 */
import { drawWord, integerOfWord, keyOfSeed } from '../../src/random/philox.js';

/** Weight, and the code points (ranges inclusive) that a class draws from. */
const classes: [weight: number, ranges: (number | [number, number])[]][] = [
  [20, [[0x61, 0x7a]]],
  [6, [[0x41, 0x5a]]],
  [3, [[0x30, 0x39]]],
  [12, [0x20]],
  [2, [0x09, 0x0a, 0x0d, 0xa0, 0x3000, [0x2000, 0x200a], 0x2028, 0x2029, 0x1680, 0x202f]],
  [
    4,
    [
      [0x21, 0x2f],
      [0x3a, 0x40],
      [0x5b, 0x60],
      [0x7b, 0x7e],
    ],
  ],
  [3, [0x27, 0x2e, 0x3a, 0x5e, 0x60, 0xb7, 0xad, 0x2019]],
  [2, [[0, 0x08], [0x0b, 0x1f], [0x7f, 0x9f], 0xfffd]],
  [5, [[0xc0, 0x24f]]],
  [
    5,
    [
      [0x370, 0x3ff],
      [0x1f00, 0x1fff],
    ],
  ],
  [3, [0x3a3, 0x3c3, 0x3c2]],
  [
    4,
    [
      [0x300, 0x36f],
      [0x483, 0x489],
      [0x591, 0x5c7],
      [0x610, 0x61a],
      [0x64b, 0x65f],
    ],
  ],
  // Marks that stay where accents are stripped: Mc with a combining class, and Mn of after Unicode 8.
  [
    2,
    [0x1b44, 0x1bf2, 0x1715, 0x1734, 0xa953, 0xa9c0, 0x111c0, 0x116b6, 0x1193d, [0x1e944, 0x1e94a], [0x10f46, 0x10f50]],
  ],
  [2, [0x302e, 0x302f, [0x1d165, 0x1d172], 0x16ff0, 0x16ff1, 0x34f, [0xfe00, 0xfe0f], 0x20dd, 0x488]],
  [
    2,
    [
      [0x7eb, 0x7fd],
      [0x8ca, 0x8ff],
      [0xafa, 0xaff],
      [0x1ab0, 0x1ace],
      [0x1dc0, 0x1dff],
      [0x1e2ae, 0x1e2ef],
    ],
  ],
  [
    3,
    [
      [0x400, 0x52f],
      [0x10a0, 0x10ff],
      [0x1c80, 0x1cbf],
      [0xa640, 0xa69f],
    ],
  ],
  [
    3,
    [
      [0x4e00, 0x4fff],
      [0x4e00, 0x9fff],
      [0x3400, 0x4dbf],
      [0xf900, 0xfaff],
      [0x20000, 0x20040],
      [0x2a6d6, 0x2a709],
      [0x2b736, 0x2b749],
      [0x2b81f, 0x2b924],
      [0x2cea6, 0x2ceb4],
      [0x2f800, 0x2fa1f],
      [0x30000, 0x30040],
    ],
  ],
  [
    2,
    [
      [0x3040, 0x30ff],
      [0xff00, 0xffef],
    ],
  ],
  [
    2,
    [
      [0xac00, 0xac80],
      [0xd780, 0xd7a3],
      [0x1100, 0x11ff],
    ],
  ],
  [
    2,
    [
      [0x900, 0xdff],
      [0xe00, 0xfff],
    ],
  ],
  [2, [[0x200b, 0x206f], 0x61c, 0x180e, 0xfeff, [0x8e0, 0x8e3], 0x890, 0x110bd, 0x110cd, 0x13430, 0xe0041]],
  [2, [[0x2010, 0x205e], [0x2e00, 0x2e5d], [0x3001, 0x3020], 0x61d, 0x9fd, 0xa76, 0x166d, 0x1734, 0x10ead, 0x11938]],
  [
    1,
    [
      [0x1f300, 0x1faff],
      [0x1d400, 0x1d7ff],
      [0x10400, 0x1044f],
      [0x1e900, 0x1e943],
    ],
  ],
  // Case-ignorable letters, some of them cased too.
  [1, [0xaa, 0xba, [0x2b0, 0x2ff], [0x1d2c, 0x1d78], 0x2071, 0x387, 0xfe13, 0xff0e]],
  [1, [[0xd800, 0xdfff]]],
  [
    1,
    [
      [0, 0xffff],
      [0x10000, 0x1ffff],
      [0x20000, 0x10ffff],
    ],
  ],
  [1, [0x378, 0xe000, 0xf8ff, 0x10ffff, [0x30000, 0x30040], 0x130, 0x131, 0x1e9e, 0xdf, 0x345, 0x344, 0x212a, 0x2126]],
];
const totalWeight = classes.reduce((sum, [weight]) => sum + weight, 0);
const snippets = [
  '[MASK]',
  '[CLS]',
  '[PAD',
  'the',
  'ing',
  '##',
  'un',
  '[UNK]',
  '[unused1]',
  '[[MASK]',
  'ΑΣ.',
  'ας',
  "Σ'",
  'Σ\u0301\u00ad',
  'ΑΣ\u0345Α',
  '\u02b0Σ\u02b0',
  '中Σ中',
  'e\u0301\u0323',
  '\u1ea5\u0323\u0301',
  '\u302e\u{1d165}\u{16ff0}',
  'a'.repeat(98),
  'é'.repeat(99),
  '각'.repeat(33),
  'b'.repeat(198),
  'ό'.repeat(199),
  '갂'.repeat(66),
  `x${'\u302e'.repeat(99)}`,
  '\u{1d15e}'.repeat(50),
];

/** The n-th string of a seed: up to `most` code points, some of them repeated, now and then a longer snippet. */
export function randomText(seed: number, n: number, most = 60): string {
  const key = keyOfSeed(seed);
  let index = 0;
  const draw = (bound: number) => integerOfWord(drawWord(key, 0x7e57, n, index++), bound);
  let text = '';
  for (let left = draw(most); left > 0; left--) {
    if (draw(80) === 0) text += snippets[draw(snippets.length)];
    text += randomCharacter(draw);
  }
  return text;
}

function randomCharacter(draw: (bound: number) => number): string {
  let weight = draw(totalWeight);
  let place = 0;
  while (weight >= classes[place][0]) weight -= classes[place++][0];
  const ranges = classes[place][1];
  const range = ranges[draw(ranges.length)];
  const code = typeof range === 'number' ? range : range[0] + draw(range[1] - range[0] + 1);
  return String.fromCodePoint(code);
}
