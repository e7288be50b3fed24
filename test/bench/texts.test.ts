/** Texts of the benches: what a reader sees of a page. Fetching is not tested: it needs a Debian system and its packages. */
import assert from 'node:assert/strict';
import test from 'node:test';
import { linesOfHtml } from '../../bench/texts.js';

test('a page becomes a line a block, without markup, scripts and notes', () => {
  const page = `<!DOCTYPE html><html><head><title>no</title><style>p{}</style></head><body>
    <!-- no <p>never</p> --><script>let no = '<p>';</script>
    <h1>One</h1><p class="x">two <b>three</b>,
      <a href="y">four</a></p><ul><li>five<li>six</ul><br/>  <p> </p><footer><p>no</p></footer></body></html>`;
  assert.deepEqual(linesOfHtml(page), ['One', 'two three, four', 'five', 'six']);
});

test('entities become the characters that they stand for', () => {
  assert.deepEqual(linesOfHtml('<p>a &amp; b &lt;c&gt; &#233;&#x3b1; &quot;d&quot; &unknown;</p>'), [
    'a & b <c> éα "d" &unknown;',
  ]);
});
