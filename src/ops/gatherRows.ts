/** The places of each row that somebody asks for; the gradient adds where a place occurs twice. */
import { count } from './attributes.js';
import {
  type Build,
  below,
  expectType,
  float32,
  int32,
  type OperationDefinition,
  sizeOf,
  type Tensor,
} from './operation.js';

/** x (B, T, H), places (B, N) → (B, N, H). */
export const gatherRowsOperation: OperationDefinition<Record<string, never>> = {
  name: 'gatherRows',
  infer([x, places]) {
    expectType('gatherRows', 'x', x, float32(-1, -1, -1));
    expectType('gatherRows', 'places', places, int32(x.shape[0], -1));
    return [float32(x.shape[0], places.shape[1], x.shape[2])];
  },
  accumulates: [0],
  gradient({ build, inputs: [x, places], outputGradients: [dy], previous }) {
    const scattered = build.apply(scatterRowsOperation, [dy, places, previous[0]], { places: x.shape[1] });
    return [scattered[0], undefined];
  },
  places: { inputs: [0], outputs: [] },
  indices({ inputs: [x] }) {
    return { 1: { below: x.shape[1] } };
  },
  flops() {
    return 0;
  },
  reference({ inputs: [x, places], outputs: [gathered], inputTypes: [{ shape }], outputTypes }) {
    const [, length, width] = shape;
    const count = outputTypes[0].shape[1];
    for (let i = 0; i < places.length; i++) {
      const from = (Math.floor(i / count) * length + places[i]) * width;
      gathered.set(x.subarray(from, from + width), i * width);
    }
  },
};

export function gatherRows(build: Build, x: Tensor, places: Tensor): Tensor {
  return build.apply(gatherRowsOperation, [x, places], {})[0];
}

/** dy (B, N, H), places (B, N), previous (B, T, H) or absent → dx (B, T, H). Attribute: T. */
export const scatterRowsOperation: OperationDefinition<{ places: number }> = {
  name: 'scatterRows',
  attributes: { places: count },
  infer([dy, places, previous], attributes) {
    expectType('scatterRows', 'dy', dy, float32(-1, -1, -1));
    expectType('scatterRows', 'places', places, int32(dy.shape[0], dy.shape[1]));
    const dx = float32(dy.shape[0], attributes.places, dy.shape[2]);
    if (previous) expectType('scatterRows', 'previous', previous, dx);
    return [dx];
  },
  inPlace: [[0, 2]],
  places: { inputs: [2], outputs: [0] },
  indices({ attributes: { places } }) {
    return { 1: { below: places } };
  },
  flops([dy]) {
    return sizeOf(dy.shape);
  },
  reference({ inputs: [dy, places, previous], outputs: [dx], inputTypes, outputTypes }) {
    if (previous) dx.set(previous);
    else dx.fill(0);
    const [, length, width] = outputTypes[0].shape;
    const count = inputTypes[1].shape[1];
    for (let i = 0; i < places.length; i++) {
      const to = (Math.floor(i / count) * length + places[i]) * width;
      for (let e = 0; e < width; e++) dx[to + e] += dy[i * width + e];
    }
  },
};

/** ids (B, T), places (B, N) → the ids there, (B, N): what the generator must guess. */
export const gatherIdsOperation: OperationDefinition<Record<string, never>> = {
  name: 'gatherIds',
  infer([ids, places]) {
    expectType('gatherIds', 'ids', ids, int32(-1, -1));
    expectType('gatherIds', 'places', places, int32(ids.shape[0], -1));
    return [places];
  },
  indices({ inputs: [ids], outputBounds: [pieces] }) {
    return { 0: below(pieces), 1: { below: ids.shape[1] } };
  },
  flops() {
    return 0;
  },
  reference({ inputs: [ids, places], outputs: [gathered], inputTypes: [{ shape }, { shape: placesShape }] }) {
    for (let i = 0; i < places.length; i++) {
      gathered[i] = ids[Math.floor(i / placesShape[1]) * shape[1] + places[i]];
    }
  },
};

export function gatherIds(build: Build, ids: Tensor, places: Tensor): Tensor {
  return build.apply(gatherIdsOperation, [ids, places], {})[0];
}
