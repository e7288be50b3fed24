/**
 * Choose the places that the generator must guess, and what it sees there.
 *
 * ids         (B, T) i32  left as it is
 * lengths     (B) i32     real tokens, [CLS] and [SEP] among them
 * places      (B, N) i32  out; in the order drawn, 0 beyond a row's count
 * seen        (B, N) i32  out; [MASK], or the id that stands there; beyond the count, the id at place 0
 * counts      (B) i32     out; round-half-even(maskProb × length), at least 1, at most N and the row's candidates
 * candidates  (T) i32     scratch
 * placeDraws  (B, N) u32  which candidate; keepDraws (B, N) u32: [MASK] if below `maskBelow`, of 2³²
 *
 * Candidates are all real tokens but [CLS], [SEP], [MASK] and [PAD]; [UNK] is one of them, as in the original.
 * A row of length 0 has no place. Source: google-research/electra 8a46635, pretrain_helpers.mask.
 * Differs: draws without replacement (a partial shuffle of the candidates); the original may draw a place twice.
 * @returns places chosen in all, or −1 − row for a row without candidates
 */
export function maskRows(
  ids: usize, lengths: usize, places: usize, seen: usize, counts: usize, candidates: usize,
  placeDraws: usize, keepDraws: usize, B: i32, T: i32, N: i32,
  maskProb: f64, maskBelow: u32, cls: i32, sep: i32, mask: i32, pad: i32,
): i32 {
  let total = 0;
  for (let row = 0; row < B; row++) {
    const length = load<i32>(lengths + (<usize>row << 2));
    let count = 0;
    if (length > 0) {
      const available = listCandidates(ids, length, candidates, cls, sep, mask, pad);
      if (available == 0) return -1 - row;
      count = min(min(max(<i32>nearest<f64>(maskProb * <f64>length), 1), N), available);
      choosePlaces(candidates, available, count, placeDraws, places);
    }
    for (let j: usize = 0; j < <usize>count; j++) {
      const place = load<i32>(places + (j << 2));
      const isMasked = load<u32>(keepDraws + (j << 2)) < maskBelow;
      store<i32>(seen + (j << 2), isMasked ? mask : load<i32>(ids + (<usize>place << 2)));
    }
    const first = load<i32>(ids);
    for (let j = <usize>count; j < <usize>N; j++) {
      store<i32>(places + (j << 2), 0);
      store<i32>(seen + (j << 2), first);
    }
    store<i32>(counts + (<usize>row << 2), count);
    total += count;
    ids += <usize>T << 2;
    places += <usize>N << 2;
    seen += <usize>N << 2;
    placeDraws += <usize>N << 2;
    keepDraws += <usize>N << 2;
  }
  return total;
}

/** The places of a row that may be masked, ascending. Without a branch: a special token is overwritten by the next. */
function listCandidates(
  row: usize, length: i32, candidates: usize, cls: i32, sep: i32, mask: i32, pad: i32,
): i32 {
  let available = 0;
  for (let place = 0; place < length; place++) {
    const id = load<i32>(row + (<usize>place << 2));
    store<i32>(candidates + (<usize>available << 2), place);
    available += i32(id != cls) & i32(id != sep) & i32(id != mask) & i32(id != pad);
  }
  return available;
}

/** The first `count` steps of a Fisher–Yates shuffle: draw j picks among the candidates that are left. */
function choosePlaces(candidates: usize, available: i32, count: i32, draws: usize, places: usize): void {
  for (let j = 0; j < count; j++) {
    const draw = <u64>load<u32>(draws + (<usize>j << 2));
    const left = candidates + (<usize>j << 2);
    const picked = left + (<usize>((draw * <u64>(available - j)) >> 32) << 2);
    store<i32>(places + (<usize>j << 2), load<i32>(picked));
    store<i32>(picked, load<i32>(left));
  }
}
