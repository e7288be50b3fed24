/** Sentences of the Brown corpus, as a reader of 1961 saw them. */
import assert from 'node:assert/strict';
import { createHash } from 'node:crypto';
import { mkdtempSync, readdirSync, readFileSync, rmSync } from 'node:fs';
import os from 'node:os';
import path from 'node:path';
import { after, test } from 'node:test';
import { readBrownDocument, writeBrownText } from '../../examples/brown-text.js';

const folder = mkdtempSync(path.join(os.tmpdir(), 'galvani-brown-'));
after(() => rmSync(folder, { recursive: true }));

const sentences: [string, string][] = [
  ["took/vbd ``/`` no/at evidence/nn ''/'' that/cs ./.", 'took "no evidence" that.'],
  ["``/`` No/rb ,/, thanks/nns ''/'' ,/, he/pps said/vbd ./.", '"No, thanks," he said.'],
  ["``/`` Why/wrb didn't/dod* he/pps ''/'' ?/. ?/.", '"Why didn\'t he?"'],
  ['Ann/np ;/. ;/.', 'Ann;'],
  ['Ivan/np Allen/np Jr./np ./.', 'Ivan Allen Jr.'],
  ['county/nn (/( Red/np )/) Berry/np :/: 1/cd', 'county (Red) Berry: 1'],
  ["the/at '/' Met/np '/' and/cc his/pp$ boys'/nns$ club/nn", "the 'Met' and his boys' club"],
  ["``/`` It's/pps+bez '/' See/vb Jim/np '/' ''/'' ./.", "\"It's 'See Jim.'\""],
  [
    'cost/vbd Ab1,040/cd at/in 43*0/nil of/in **zg/nn --/-- $600/nns a/at lumen/watt/nn',
    'cost £1,040 at 43° of zg -- $600 a lumen/watt',
  ],
  ['Austin/np-hl ,/,-hl Texas/np-hl', 'Austin, Texas'],
];
for (const [tagged, text] of sentences) {
  test(`"${text}" is read without tags`, () => assert.equal(readBrownDocument(tagged), `${text}\n`));
}

test('sentences stand on lines of their own and paragraphs between blank lines', () => {
  const tagged = '\n\n\tOne/cd ./.\nTwo/cd ./.\n\n\n\tThree/cd ./.\n\n';
  assert.equal(readBrownDocument(tagged), 'One.\nTwo.\n\nThree.\n');
});

test('all 500 documents are written, with no tag or coded mark left', () => {
  const ids = writeBrownText(folder);
  assert.equal(ids.length, 500);
  assert.deepEqual(readdirSync(folder), ids.map((id) => `${id}.txt`).sort());
  const hash = createHash('sha256');
  for (const id of ids) {
    const text = readFileSync(path.join(folder, `${id}.txt`), 'utf8');
    hash.update(text);
    assert.equal(/\w\/(nn|vb|in|at|jj|np)\b(?!\/)|``|''|\t| {2}|\n\n\n/.exec(text)?.[0], undefined, id);
    // Some 2000 words each, in sentences and paragraphs.
    assert.ok(text.split(/\s+/).length > 1700, id);
    assert.match(text, /\n\n/);
  }
  assert.equal(hash.digest('hex'), '7da67c7b536abe68285b18f4abd27df7f867f677b6819e6e06aab46d0b6c9fc2');
});
