import assert from 'node:assert/strict';
import { test } from 'node:test';
import fc from 'fast-check';
import { windowsOf } from '../../src/inference/windows.js';

const sizes = fc.record({
  length: fc.integer({ min: 0, max: 90 }),
  limit: fc.integer({ min: 3, max: 20 }),
  isFramed: fc.boolean(),
});
const fixed = { seed: 4, numRuns: 2000 };

test('every place of a text is answered exactly once, in order', () => {
  fc.assert(
    fc.property(sizes, ({ length, limit, isFramed }) => {
      const owned = windowsOf(length, limit, isFramed).flatMap(({ places, ownFrom, ownTo }) =>
        places.slice(ownFrom, ownTo),
      );
      assert.deepEqual(
        owned,
        Array.from({ length }, (_, place) => place),
      );
    }),
    fixed,
  );
});

test('no window reads more than the model does, and a frame is around each', () => {
  fc.assert(
    fc.property(sizes, ({ length, limit, isFramed }) => {
      for (const { places } of windowsOf(length, limit, isFramed)) {
        assert.ok(places.length <= limit);
        if (isFramed && length > 0) assert.deepEqual([places[0], places.at(-1)], [0, length - 1]);
      }
    }),
    fixed,
  );
});

test('a token is answered by the window in which it stands farthest from an edge', () => {
  fc.assert(
    fc.property(sizes, ({ length, limit, isFramed }) => {
      const edge = isFramed ? 1 : 0;
      const windows = windowsOf(length, limit, isFramed);
      const bodies = windows.map(({ places }) => places.slice(edge, places.length - edge));
      const depth = (body: number[], place: number) => Math.min(place - body[0], body[body.length - 1] - place);
      for (const [i, { places, ownFrom, ownTo }] of windows.entries()) {
        for (const place of places.slice(ownFrom, ownTo).filter((own) => bodies[i].includes(own))) {
          const best = Math.max(...bodies.filter((body) => body.includes(place)).map((body) => depth(body, place)));
          // The ends of the text are edges of one window only, so there the first and last window have no rival.
          assert.equal(depth(bodies[i], place), best);
        }
      }
    }),
    fixed,
  );
});

test('ten places in windows of six, half a window apart', () => {
  assert.deepEqual(
    windowsOf(10, 6, false).map(({ places, ownFrom, ownTo }) => [places[0], ownFrom, ownTo]),
    [
      [0, 0, 5],
      [3, 2, 4],
      [4, 3, 6],
    ],
  );
});
