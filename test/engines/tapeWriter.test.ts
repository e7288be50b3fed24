/**
 * Where the tape makes its threads wait. Programs of tests are too small for their ring of temporaries to come round, so
 * that is tried here by itself.
 */
import assert from 'node:assert/strict';
import { test } from 'node:test';
import { EntryBit, Opcode, TapeLayout } from '../../assembly/compute/opcodes.js';
import { type Place, reads, TapeWriter, writes } from '../../src/engines/wasm/tapeWriter.js';

const ring = { address: 1 << 20, bytes: 256 };
const place = (address: number, bytes = 64): Place => ({ address, bytes });
const [x, y, z] = [place(64), place(128), place(192)];

/** Which entries of a tape begin with a barrier. */
function barriersOf(tape: TapeWriter): boolean[] {
  const words = tape.finish();
  const barriers: boolean[] = [];
  for (let at: number = TapeLayout.HeaderWords; at < words.length; at += words[at + 1])
    barriers.push((words[at] & EntryBit.Barrier) !== 0);
  return barriers;
}

test('threads wait before what was written is read, and before what is read or written is written over', () => {
  const tape = new TapeWriter(ring);
  const copy = (from: Place, to: Place) => tape.put(Opcode.Copy, [reads(from), writes(to), 16]);
  copy(x, y);
  copy(x, z); // Reads side by side, writes apart.
  copy(y, place(256)); // y was written.
  copy(place(320), x); // Nobody has read x since the barrier.
  copy(place(384), place(256 + 60, 4)); // The last bytes of what was written.
  copy(place(448), place(384)); // That was read.
  assert.deepEqual(barriersOf(tape), [false, false, true, false, true, true]);
});

test('what thread 0 does alone follows itself without waiting, and others wait for it', () => {
  const tape = new TapeWriter(ring);
  tape.put(Opcode.Norm, [reads(x), 1, writes(y)], 'sole');
  tape.put(Opcode.Clip, [reads(y), writes(z)], 'sole');
  tape.put(Opcode.Copy, [reads(z), writes(x), 1]);
  assert.deepEqual(barriersOf(tape), [false, false, true]);
});

test('a temporary that the ring hands out again waits for its last use, and what was packed there is packed again', () => {
  const tape = new TapeWriter(ring);
  const pack = (key: string) => {
    const panels = tape.once(key, 128, (to) => tape.put(Opcode.PackRows, [reads(x), writes(to), 1, 1, 1]));
    tape.put(Opcode.Copy, [reads(panels), writes(key === 'a' ? y : z), 16]);
    return panels.address;
  };
  const [a, b] = [pack('a'), pack('b')];
  assert.equal(pack('a'), a); // Still there: copied alone.
  const c = pack('c'); // Comes round over a.
  const again = pack('a'); // Packed again, over b.
  assert.deepEqual([b, c, again], [a + 128, a, b]);
  //                                    pack a, copy, pack b, copy, copy a, pack c, copy, pack a, copy
  assert.deepEqual(barriersOf(tape), [false, true, false, true, false, true, true, false, true]);
});
