/**
 * ids with other values at some places, and where they now differ: hides what the generator must guess (values = what
 * it sees there) and builds the discriminator's input (values = samples; a sample that equals the original counts as
 * original). Where a place occurs twice in a row, its last value stands.
 */
import { type Build, below, expectType, int32, type OperationDefinition, type Tensor } from './operation.js';

/** ids (B, T), places, values (B, N), counts (B): places in use → replaced (B, T), labels (B, T): 1 where different. */
export const replaceOperation: OperationDefinition<Record<string, never>> = {
  name: 'replace',
  infer([ids, places, values, counts]) {
    expectType('replace', 'ids', ids, int32(-1, -1));
    expectType('replace', 'places', places, int32(ids.shape[0], -1));
    expectType('replace', 'values', values, places);
    expectType('replace', 'counts', counts, int32(ids.shape[0]));
    return [ids, ids];
  },
  indices({ inputs: [ids, places], outputBounds: [pieces] }) {
    return {
      0: below(pieces),
      1: { below: ids.shape[1], inUse: 3 },
      2: below(pieces, 3),
      3: { below: places.shape[1] + 1 },
    };
  },
  flops() {
    return 0;
  },
  reference({ inputs: [ids, places, values, counts], outputs: [replaced, labels], inputTypes }) {
    const length = inputTypes[0].shape[1];
    const most = inputTypes[1].shape[1];
    replaced.set(ids);
    for (let row = 0; row < counts.length; row++) {
      for (let n = row * most; n < row * most + counts[row]; n++) replaced[row * length + places[n]] = values[n];
    }
    for (let i = 0; i < ids.length; i++) labels[i] = replaced[i] === ids[i] ? 0 : 1;
  },
};

export function replace(
  build: Build,
  ids: Tensor,
  places: Tensor,
  values: Tensor,
  counts: Tensor,
): { replaced: Tensor; labels: Tensor } {
  const [replaced, labels] = build.apply(replaceOperation, [ids, places, values, counts], {});
  return { replaced, labels };
}
