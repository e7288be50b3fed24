/**
 * Everything the kernel needs to know, as one block of bytes: settings, character data, the trie of pieces, special tokens.
 * The block has no pointers, so it can be posted to any worker and laid anywhere. Its layout is drawn in assembly/text/state.ts.
 *
 * The trie is laid out breadth first, so that the children of a node lie side by side: 9 bytes a node.
 */
import { inflateRawSync } from 'node:zlib';
import { electraTable, huggingfaceTable } from './generated/unicode-tables.js';
import { type Profile, profiles, type TokenizerSettings } from './profile.js';
import type { Vocabulary } from './vocabulary.js';

const headerBytes = 64;
const bits = { lowercase: 1, stripAccents: 2, finalSigma: 4, smallIds: 8 };

/** Compile what `WordPieceEncoder` takes. About 0.7 MB and 20 ms for 30,522 pieces. */
export function compileTables(vocabulary: Vocabulary, settings: TokenizerSettings): Uint8Array {
  const rules = profiles[settings.profile];
  const pieces = encodePieces(vocabulary.pieces);
  const trie = layOutTrie(growTrie(pieces));
  const parts: Uint8Array[] = [
    ...characterParts(settings),
    bytesOf(trie.nodes),
    trie.labels,
    bytesOf(trie.roots),
    specialTokens(vocabulary, rules.cutsSpecialTokens),
    bytesOf(pieceBytes(pieces)),
  ];
  const flags =
    (settings.lowercase ? bits.lowercase : 0) |
    (settings.stripAccents ? bits.stripAccents : 0) |
    (rules.finalSigma ? bits.finalSigma : 0) |
    (vocabulary.size <= 1 << 16 ? bits.smallIds : 0);
  return joinParts([flags, rules.wordLimit, vocabulary.unknownId], parts);
}

function joinParts(head: number[], parts: Uint8Array[]): Uint8Array {
  const offsets: number[] = [];
  let size = headerBytes;
  for (const part of parts) {
    offsets.push(part.length === 0 ? 0 : size);
    size += (part.length + 15) & ~15;
  }
  const block = new Uint8Array(size + 16); // the kernel compares labels 16 at a time and may look past the last
  new Uint32Array(block.buffer).set([...head, ...offsets]);
  parts.forEach((part, i) => {
    block.set(part, offsets[i]);
  });
  return block;
}

const bytesOf = (words: Uint32Array | Uint16Array): Uint8Array =>
  new Uint8Array(words.buffer, words.byteOffset, words.byteLength);

/** The class table, and the map that these settings need (none where they change no character). */
function characterParts({ profile, lowercase, stripAccents }: TokenizerSettings): Uint8Array[] {
  const table = inflateTable(profile);
  const offsets = [...new Uint32Array(table.buffer, 0, 12), table.length];
  const part = (i: number) => table.subarray(offsets[i], offsets[i + 1]);
  const classes = [part(0), part(1), part(2)];
  if (!lowercase && !stripAccents) return [...classes, new Uint8Array(), new Uint8Array(), new Uint8Array()];
  const map = stripAccents ? (lowercase ? 9 : 6) : 3;
  return [...classes, part(map), part(map + 1), part(map + 2)];
}

function inflateTable(profile: Profile): Uint8Array {
  const packed = Buffer.from(profile === 'electra' ? electraTable : huggingfaceTable, 'base64');
  return new Uint8Array(inflateRawSync(packed));
}

/** All pieces in one buffer: one for each would be most of the time that a tokenizer takes to be ready. */
interface EncodedPieces {
  bytes: Uint8Array;
  /** What a word is matched with: without ##. */
  starts: Uint32Array;
  ends: Uint32Array;
  /** 1 where there was ##. A piece that begins with it never begins a word: # is punctuation, and stands alone. */
  continues: Uint8Array;
}

function encodePieces(pieces: readonly string[]): EncodedPieces {
  // No word holds a line end, so a piece that does is as good as empty.
  const bytes = Buffer.from(pieces.map((piece) => (piece.includes('\n') ? '\n' : `${piece}\n`)).join(''));
  const starts = new Uint32Array(pieces.length);
  const ends = new Uint32Array(pieces.length);
  const continues = new Uint8Array(pieces.length);
  for (let id = 0, at = 0; id < pieces.length; id++) {
    const end = bytes.indexOf(lineEnd, at);
    continues[id] = Number(end - at > 2 && bytes[at] === hash && bytes[at + 1] === hash);
    starts[id] = at + 2 * continues[id];
    ends[id] = end;
    at = end + 1;
  }
  return { bytes, starts, ends, continues };
}

const [lineEnd, hash] = Buffer.from('\n#');

/** First-child, next-sibling form. Nodes 0 and 1 are the roots of word-initial and of continuing (##) pieces. */
interface Growth {
  count: number;
  child: Int32Array;
  sibling: Int32Array;
  label: Uint8Array;
  id: Int32Array;
}

function growTrie({ bytes, starts, ends, continues }: EncodedPieces): Growth {
  const most = 2 + bytes.length;
  const growth: Growth = {
    count: 2,
    child: new Int32Array(most),
    sibling: new Int32Array(most),
    label: new Uint8Array(most),
    id: new Int32Array(most).fill(-1),
  };
  ends.forEach((end, id) => {
    let node: number = continues[id];
    for (let i = starts[id]; i < end; i++) node = findOrAddChild(growth, node, bytes[i]);
    if (node > 1) growth.id[node] = id;
  });
  return growth;
}

function findOrAddChild(growth: Growth, node: number, byte: number): number {
  const { child, sibling, label } = growth;
  let found = child[node];
  while (found !== 0 && label[found] !== byte) found = sibling[found];
  if (found !== 0) return found;
  const added = growth.count++;
  label[added] = byte;
  sibling[added] = child[node];
  child[node] = added;
  return added;
}

function layOutTrie({ count, child, sibling, label, id }: Growth) {
  const nodes = new Uint32Array(2 * (count + 1));
  const labels = new Uint8Array(count);
  const roots = new Uint32Array(512);
  const order = new Int32Array(count);
  order[1] = 1;
  let placed = 2;
  for (let place = 0; place < count; place++) {
    const node = order[place];
    nodes[2 * place] = placed;
    nodes[2 * place + 1] = id[node];
    for (let next = child[node]; next !== 0; next = sibling[next]) {
      labels[placed] = label[next];
      if (place < 2) roots[256 * place + label[next]] = placed;
      order[placed++] = next;
    }
  }
  nodes[2 * count] = placed;
  return { nodes, labels, roots };
}

/** How many bytes of a word each piece takes; one too long for any word counts as 0. */
function pieceBytes({ starts, ends }: EncodedPieces): Uint16Array {
  return Uint16Array.from(ends, (end, id) => (end - starts[id] > 0xffff ? 0 : end - starts[id]));
}

/** Count, unused, then { length u32, id u32, mask u64, bytes u64 } each. Names are at most eight bytes long. */
function specialTokens(vocabulary: Vocabulary, cutsSpecialTokens: boolean): Uint8Array {
  // The first that fits is taken: the longest one, as in tokenizers.
  const present = cutsSpecialTokens ? [...vocabulary.addedTokens].sort((a, b) => b.length - a.length) : [];
  const view = new DataView(new ArrayBuffer(8 + 24 * present.length));
  view.setUint32(0, present.length, true);
  present.forEach((name, i) => {
    const place = 8 + 24 * i;
    view.setUint32(place, name.length, true);
    view.setUint32(place + 4, vocabulary.tokenToId(name) as number, true);
    for (let k = 0; k < name.length; k++) {
      view.setUint8(place + 8 + k, 0xff);
      view.setUint8(place + 16 + k, name.charCodeAt(k));
    }
  });
  return new Uint8Array(view.buffer);
}
