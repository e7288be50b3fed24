/**
 * Choose the places that the generator must guess, and what it sees there.
 *
 * ids            (B, T) i32     left as it is; a row's real tokens are its first Σ lengths places
 * lengths        (B, S) i32     real tokens of each segment, [CLS] and [SEP] among them
 * places         (B, N) i32     out; in the order drawn, 0 beyond a row's count
 * seen           (B, N) i32     out; [MASK], a random id, or the id that stands there; beyond the count, the id at place 0
 * counts         (B) i32        out; see below
 * scratch        (T, 2) i32     candidates, or words: first place and pieces
 * continuations  (V) u8         1 for pieces that go on with a word: whole words are masked; address 0: pieces one by one
 * placeDraws     (B, D) u32     which candidate, D ≥ N; for whole words which word, D ≥ T
 * choiceDraws    (B, N) u32     [MASK] if below maskReplaceProb, else a random id if below the sum of both, of 2³²
 * randomDraws    (B, N) u32     which random id; not read if randomReplaceProb is 0
 *
 * Candidates are all real tokens but [CLS], [SEP], [MASK] and [PAD]; [UNK] is one of them, as in the original. A row
 * wants round-half-even(maskProb × Σ lengths) places, at least 1, at most N and its candidates, and gets exactly that
 * many, or for whole words as many of those as whole words fill. A row of length 0 has no place.
 *
 * Source: google-research/electra 8a46635, pretrain_helpers.mask. Differs: draws without replacement unless
 * `withReplacement`; has random ids (which that one has not).
 * @returns places chosen in all, or −1 − row for a row without candidates
 */
export function maskRows(
  ids: usize, lengths: usize, places: usize, seen: usize, counts: usize, scratch: usize, continuations: usize,
  placeDraws: usize, choiceDraws: usize, randomDraws: usize, B: i32, S: i32, T: i32, N: i32, D: i32, V: i32,
  maskProb: f64, maskReplaceProb: f64, randomReplaceProb: f64, withReplacement: bool,
  cls: i32, sep: i32, mask: i32, pad: i32,
): i32 {
  const maskBelow = <u64>nearest<f64>(maskReplaceProb * 4294967296.0);
  const randomWidth = <u64>nearest<f64>((maskReplaceProb + randomReplaceProb) * 4294967296.0) - maskBelow;
  let total = 0;
  for (let row = 0; row < B; row++) {
    const length = sumLengths(lengths, S);
    let count = 0;
    if (length > 0) {
      const wanted = min(max(<i32>nearest<f64>(maskProb * <f64>length), 1), N);
      if (continuations == 0) {
        const available = listCandidates(ids, length, scratch, cls, sep, mask, pad);
        if (available == 0) return -1 - row;
        count = min(wanted, available);
        if (withReplacement) choosePlacesAgain(scratch, available, count, placeDraws, places);
        else choosePlaces(scratch, available, count, placeDraws, places);
      } else {
        const words = listWords(ids, lengths, S, continuations, scratch, cls, sep, mask, pad);
        if (words == 0) return -1 - row;
        count = chooseWords(scratch, words, wanted, placeDraws, places);
      }
    }
    for (let j: usize = 0; j < <usize>count; j++) {
      const choice = <u64>load<u32>(choiceDraws + (j << 2));
      const original = load<i32>(ids + (<usize>load<i32>(places + (j << 2)) << 2));
      // Without a branch: choices are random, and random ids rare or never.
      let id = select(mask, original, choice < maskBelow);
      if (choice - maskBelow < randomWidth) id = randomId(load<u32>(randomDraws + (j << 2)), V, cls, sep, mask, pad);
      store<i32>(seen + (j << 2), id);
    }
    if (withReplacement) settleClashes(places, seen, count, mask);
    const first = load<i32>(ids);
    for (let j = <usize>count; j < <usize>N; j++) {
      store<i32>(places + (j << 2), 0);
      store<i32>(seen + (j << 2), first);
    }
    store<i32>(counts + (<usize>row << 2), count);
    total += count;
    ids += <usize>T << 2;
    lengths += <usize>S << 2;
    places += <usize>N << 2;
    seen += <usize>N << 2;
    placeDraws += <usize>D << 2;
    choiceDraws += <usize>N << 2;
    randomDraws += <usize>N << 2;
  }
  return total;
}

function sumLengths(lengths: usize, S: i32): i32 {
  let sum = 0;
  for (let s = 0; s < S; s++) sum += load<i32>(lengths + (<usize>s << 2));
  return sum;
}

/** The places of a row that may be masked, ascending: four at a time where no special token is among them. */
function listCandidates(
  row: usize, length: i32, candidates: usize, cls: i32, sep: i32, mask: i32, pad: i32,
): i32 {
  let next = candidates;
  let place = 0;
  let four = i32x4(0, 1, 2, 3);
  for (; place + 4 <= length; place += 4) {
    const ids = v128.load(row + (<usize>place << 2));
    const isSpecial = v128.or(
      v128.or(i32x4.eq(ids, i32x4.splat(cls)), i32x4.eq(ids, i32x4.splat(sep))),
      v128.or(i32x4.eq(ids, i32x4.splat(mask)), i32x4.eq(ids, i32x4.splat(pad))),
    );
    if (v128.any_true(isSpecial)) {
      const bits = ~i32x4.bitmask(isSpecial);
      // Without a branch: a special token's place is overwritten by the next.
      for (let lane = 0; lane < 4; lane++) {
        store<i32>(next, place + lane);
        next += <usize>((bits >> lane) & 1) << 2;
      }
    } else {
      v128.store(next, four);
      next += 16;
    }
    four = i32x4.add(four, i32x4.splat(4));
  }
  for (; place < length; place++) {
    store<i32>(next, place);
    next += <usize>!isSpecialId(load<i32>(row + (<usize>place << 2)), cls, sep, mask, pad) << 2;
  }
  return <i32>((next - candidates) >> 2);
}

function isSpecialId(id: i32, cls: i32, sep: i32, mask: i32, pad: i32): bool {
  return <bool>(i32(id == cls) | i32(id == sep) | i32(id == mask) | i32(id == pad));
}

/** The first `count` steps of a Fisher–Yates shuffle: draw j picks among the candidates that are left. */
function choosePlaces(candidates: usize, available: i32, count: i32, draws: usize, places: usize): void {
  for (let j = 0; j < count; j++) {
    const left = candidates + (<usize>j << 2);
    const picked = left + (<usize>below(load<u32>(draws + (<usize>j << 2)), available - j) << 2);
    store<i32>(places + (<usize>j << 2), load<i32>(picked));
    store<i32>(picked, load<i32>(left));
  }
}

/** Every draw picks among all candidates, so a place may come twice. */
function choosePlacesAgain(candidates: usize, available: i32, count: i32, draws: usize, places: usize): void {
  for (let j: usize = 0; j < <usize>count; j++) {
    const picked = <usize>below(load<u32>(draws + (j << 2)), available);
    store<i32>(places + (j << 2), load<i32>(candidates + (picked << 2)));
  }
}

/**
 * A place that was drawn twice shows one thing: [MASK] if any of its draws says so, as in the original, which scatters
 * [MASK] where a draw says so and nothing elsewhere; of other ids the last.
 */
function settleClashes(places: usize, seen: usize, count: i32, mask: i32): void {
  for (let j: usize = 1; j < <usize>count; j++) {
    const place = load<i32>(places + (j << 2));
    for (let i: usize = 0; i < j; i++) {
      if (load<i32>(places + (i << 2)) != place) continue;
      const earlier = load<i32>(seen + (i << 2));
      const shown = earlier == mask ? mask : load<i32>(seen + (j << 2));
      store<i32>(seen + (i << 2), shown);
      store<i32>(seen + (j << 2), shown);
    }
  }
}

/**
 * The words of a row, ascending: a candidate and the continuations right behind it. One that follows a special token, or
 * begins a segment, begins a word.
 */
function listWords(
  row: usize, lengths: usize, S: i32, continuations: usize, words: usize, cls: i32, sep: i32, mask: i32, pad: i32,
): i32 {
  let next = words;
  let place = 0;
  for (let s = 0; s < S; s++) {
    const end = place + load<i32>(lengths + (<usize>s << 2));
    let isInWord = false;
    for (; place < end; place++) {
      const id = load<i32>(row + (<usize>place << 2));
      if (isSpecialId(id, cls, sep, mask, pad)) {
        isInWord = false;
      } else if (isInWord && load<u8>(continuations + <usize>id) != 0) {
        store<i32>(next - 4, load<i32>(next - 4) + 1);
      } else {
        store<i32>(next, place);
        store<i32>(next, 1, 4);
        next += 8;
        isInWord = true;
      }
    }
  }
  return <i32>((next - words) >> 3);
}

/**
 * Words in random order, each taken if all of it still fits into what is wanted, else passed over; the first `wanted`
 * pieces of the first one if none fits.
 * Source: google-research/bert eedf571, create_pretraining_data.create_masked_lm_predictions. Differs: that one masks
 * nothing where no word fits.
 */
function chooseWords(words: usize, available: i32, wanted: i32, draws: usize, places: usize): i32 {
  let count = 0;
  for (let d = 0; d < available && count < wanted; d++) {
    const left = words + (<usize>d << 3);
    const picked = left + (<usize>below(load<u32>(draws + (<usize>d << 2)), available - d) << 3);
    const word = load<u64>(picked);
    store<u64>(picked, load<u64>(left));
    store<u64>(left, word);
    const pieces = load<i32>(left, 4);
    if (count + pieces > wanted) continue;
    storePieces(places + (<usize>count << 2), load<i32>(left), pieces);
    count += pieces;
  }
  if (count > 0) return count;
  storePieces(places, load<i32>(words), wanted);
  return wanted;
}

function storePieces(places: usize, first: i32, pieces: i32): void {
  for (let i = 0; i < pieces; i++) store<i32>(places + (<usize>i << 2), first + i);
}

/**
 * Uniform over all ids but the four special ones that are never masked either. Differs: google-research/bert and
 * transformers' collator draw over the whole vocabulary, special tokens among them. It may be the id that stands there.
 */
function randomId(draw: u32, V: i32, cls: i32, sep: i32, mask: i32, pad: i32): i32 {
  const low0 = min(cls, sep);
  const high0 = max(cls, sep);
  const low1 = min(mask, pad);
  const high1 = max(mask, pad);
  const inner0 = max(low0, low1);
  const inner1 = min(high0, high1);
  // Step over the four in ascending order.
  let id = below(draw, V - 4);
  id += i32(id >= min(low0, low1));
  id += i32(id >= min(inner0, inner1));
  id += i32(id >= max(inner0, inner1));
  return id + i32(id >= max(high0, high1));
}

/** An integer in [0, bound): ⌊draw × bound / 2³²⌋. */
// @ts-ignore: decorator
@inline
function below(draw: u32, bound: i32): i32 {
  return <i32>((<u64>draw * <u64>bound) >> 32);
}
