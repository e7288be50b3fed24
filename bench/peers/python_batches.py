"""Token shards → masked batches in Python: the rivals of batches.ts. Needs the environment of test/python/install.sh.

    python python_batches.py prove RIVAL DATASET B T             an epoch of `numpy`, some batches of a DataLoader
    python python_batches.py time RIVAL DATASET B T SECONDS PROCESSES

Prints one line of JSON. Rows are what ours are: [CLS], at most T - 2 tokens of one document, [SEP], then [PAD], in an
order shuffled whole. RIVAL is one of

    numpy     The planes that ours have, hand-vectorised: rows by windows over the ids, which lie in memory; places by
              sorting random keys that carry their place; what depends on a length alone from tables. Sorting 32-bit keys
              is done in SIMD and takes a fifth of `argpartition`.
    dicts     PyTorch's DataLoader, a map-style dataset of token rows, and transformers' DataCollatorForLanguageModeling,
              as its documentation shows them.
    tensors   The same with bare tensors in place of dicts: the fastest form found, twice as fast as dicts of lists, of
              arrays or of tensors, with `special_tokens_mask` or without.

A DataLoader's masks differ from ours: a coin a token in place of an exact count, and 80/10/10 in place of 85/15.
Whatever a batch holds is read once, as ours is by the simulated device.
"""
import json
import os
import sys
import time
from pathlib import Path

import numpy as np
import pyarrow as pa

mask_prob, shown_as_mask = 0.15, 0.85


class Examples:
    """Windows of T - 2 tokens: tokens[i] ids from starts[i] on in `ids`, which end in T - 2 zeros."""

    def __init__(self, dataset: Path, T: int):
        ids, lengths = [], []
        for file in sorted(dataset.glob("shard-*.arrow")):
            for chunk in pa.ipc.open_file(pa.memory_map(str(file))).read_all()["input_ids"].chunks:
                ids.append(chunk.flatten().to_numpy())
                lengths.append(np.diff(chunk.offsets.to_numpy()).astype(np.int64))
        window = T - 2
        self.ids = np.concatenate([*ids, np.zeros(window, ids[0].dtype)])
        lengths = np.concatenate(lengths)
        ends = np.cumsum(lengths)
        windows = -(-lengths // window)
        number = np.arange(windows.sum()) - np.repeat(np.cumsum(windows) - windows, windows)
        self.starts = np.repeat(ends - lengths, windows) + number * window
        self.tokens = np.minimum(window, np.repeat(ends, windows) - self.starts)
        pieces = (dataset / "vocab.txt").read_text(encoding="utf8").split("\n")
        self.pad, self.cls, self.sep, self.mask = (pieces.index(f"[{name}]") for name in ("PAD", "CLS", "SEP", "MASK"))
        if np.isin(self.ids[:-window], [self.pad, self.cls, self.sep, self.mask]).any():
            sys.exit("special tokens in the text: every place between [CLS] and [SEP] is taken for a candidate here")

    def __len__(self) -> int:
        return len(self.starts)

    def rows(self, T: int):
        """numbers (B) → ids (B, T) and lengths (B)."""
        windows = np.lib.stride_tricks.sliding_window_view(self.ids, T - 2)
        behind = np.arange(T) >= np.arange(T + 1)[:, None]

        def gather(numbers):
            B = len(numbers)
            lengths = self.tokens[numbers].astype(np.int32) + 2
            ids = np.empty((B, T), np.int32)
            ids[:, 1:-1] = windows[self.starts[numbers]]
            ids[:, -1] = self.pad
            np.copyto(ids, self.pad, where=behind[lengths])
            ids[:, 0] = self.cls
            ids[np.arange(B), lengths - 1] = self.sep
            return ids, lengths

        return gather


def masked_counts(T: int) -> np.ndarray:
    """By length. np.rint rounds halves to even."""
    lengths = np.arange(T + 1)
    most = np.minimum(int((mask_prob + 0.005) * T), np.maximum(lengths - 2, 0))
    return np.minimum(np.maximum(np.rint(mask_prob * lengths), 1), most).astype(np.int32)


def numpy_batches(examples: Examples, B: int, T: int, seed: int):
    """Endless: ids, lengths, seconds, places, seen and counts, as int32."""
    rng = np.random.Generator(np.random.SFC64(seed))
    gather = examples.rows(T)
    N = int((mask_prob + 0.005) * T)
    count_of = masked_counts(T)
    bits = int(T - 1).bit_length()
    low = np.uint32((1 << bits) - 1)
    # (T + 1, T): what is set in the keys of a row of that length: a candidate's place, all bits elsewhere, behind the rest.
    place = np.arange(T, dtype=np.uint32)
    is_candidate = (place > 0) & (place < np.arange(T + 1)[:, None] - 1)
    set_bits = np.where(is_candidate, place, np.uint32(0xFFFFFFFF)).astype(np.uint32)
    unused_of = np.arange(N) >= np.arange(N + 1)[:, None]
    row_begins = (np.arange(B) * T)[:, None]
    while True:
        order = rng.permutation(len(examples))
        for at in range(0, len(order) - B + 1, B):
            ids, lengths = gather(order[at : at + B])
            keys = rng.integers(0, 1 << 64, (B * T + 1) // 2, dtype=np.uint64).view(np.uint32)[: B * T].reshape(B, T)
            keys &= ~low
            keys |= set_bits[lengths]
            keys.sort(axis=1)
            counts = count_of[lengths]
            unused = unused_of[counts]
            places = (keys[:, :N] & low).astype(np.int32)
            np.copyto(places, 0, where=unused)
            seen = ids.ravel().take(places + row_begins)
            shown = rng.random((B, N), np.float32) < shown_as_mask
            shown &= ~unused
            np.copyto(seen, examples.mask, where=shown)
            yield ids, lengths, lengths.copy(), places, seen, counts


def loader_batches(examples: Examples, B: int, T: int, seed: int, kind: str, processes: int, numbers=None):
    """Endless, shuffled; or one pass over `numbers`. Dicts of input_ids, labels, …"""
    os.environ.update(HF_HUB_OFFLINE="1", TRANSFORMERS_VERBOSITY="error", TOKENIZERS_PARALLELISM="false")
    import torch
    from torch.utils.data import DataLoader, Dataset
    from transformers import BertTokenizer, DataCollatorForLanguageModeling

    class Rows(Dataset):
        def __len__(self):
            return len(examples)

        def __getitem__(self, number):
            start, tokens = examples.starts[number], examples.tokens[number]
            row = np.empty(tokens + 2, np.int64)
            row[0], row[1:-1], row[-1] = examples.cls, examples.ids[start : start + tokens], examples.sep
            return torch.from_numpy(row) if kind == "tensors" else {"input_ids": row}

    torch.set_num_threads(1)
    torch.manual_seed(seed)
    collate = DataCollatorForLanguageModeling(BertTokenizer(str(dataset / "vocab.txt")), mlm_probability=mask_prob)
    chosen = {"shuffle": True, "drop_last": True} if numbers is None else {"sampler": numbers}
    batches = DataLoader(Rows(), batch_size=B, num_workers=processes, collate_fn=collate, **chosen)
    while True:
        yield from batches
        if numbers is not None:
            return


def mix(words: np.ndarray) -> np.ndarray:
    """The finalizer of MurmurHash3, of uint32."""
    words = (words ^ (words >> np.uint32(16))) * np.uint32(0x85EBCA6B)
    words = (words ^ (words >> np.uint32(13))) * np.uint32(0xC2B2AE35)
    return words ^ (words >> np.uint32(16))


class RowSums:
    """What can be compared of some rows, in whatever order: see RowSums of batches.ts."""

    def __init__(self, T: int):
        self.weights = mix(np.arange(1, T + 1, dtype=np.uint32))
        self.places = np.arange(T)
        self.rows = self.tokens = self.digest = 0

    def add(self, ids, lengths) -> None:
        kept = np.where(self.places[: ids.shape[1]] < lengths[:, None], ids, 0).astype(np.uint32)
        hashes = mix((kept * self.weights[: ids.shape[1]]).sum(axis=1, dtype=np.uint32))
        self.rows += len(lengths)
        self.tokens += int(lengths.sum())
        self.digest = (self.digest + int(hashes.sum(dtype=np.uint64))) % 2**32

    def told(self) -> dict:
        return {"rows": self.rows, "tokens": self.tokens, "digest": self.digest}


def prove_numpy(examples: Examples, B: int, T: int) -> dict:
    """An epoch, the last rows of it that fill no batch by themselves. Of some batches it is looked at every place."""
    sums, masked = RowSums(T), 0
    rows_in_batches = len(examples) // B * B
    rng = np.random.Generator(np.random.SFC64(1))
    last = rng.permutation(len(examples))[rows_in_batches:]
    batches = numpy_batches(examples, B, T, 1)
    for _ in range(len(examples) // B):
        ids, lengths, _, places, seen, counts = next(batches)
        sums.add(ids, lengths)
        masked += int(counts.sum())
        if sums.rows > 200 * B:
            continue
        for row in range(B):
            used = places[row, : counts[row]]
            shown = seen[row, : counts[row]]
            wanted = min(max(1, round(mask_prob * int(lengths[row]))), places.shape[1], lengths[row] - 2)
            assert len(set(used.tolist())) == counts[row] == wanted
            assert used.min() > 0 and used.max() < lengths[row] - 1
            assert ((shown == examples.mask) | (shown == ids[row, used])).all()
    ids, lengths = examples.rows(T)(last)
    sums.add(ids, lengths)
    return {**sums.told(), "maskedTokens": masked + int(masked_counts(T)[lengths].sum())}


def prove_loader(examples: Examples, B: int, T: int, kind: str) -> dict:
    """Some batches, held against the rows that the proof of numpy is about."""
    numbers = np.random.default_rng(1).permutation(len(examples))[: 100 * B]
    expected, found, masked = RowSums(T), RowSums(T), 0
    expected.add(*examples.rows(T)(numbers))
    for batch in loader_batches(examples, B, T, 1, kind, 0, numbers.tolist()):
        ids, labels = batch["input_ids"].numpy(), batch["labels"].numpy()
        ids = np.where(labels == -100, ids, labels)
        found.add(ids, (ids != examples.pad).sum(axis=1))
        masked += int((labels != -100).sum())
    assert found.told() == expected.told(), (found.told(), expected.told())
    return {**found.told(), "maskedTokens": masked}


def measure(batches, read, seconds: float) -> dict:
    for _ in range(32):
        read(next(batches))
    made = tokens = 0
    start = time.perf_counter()
    while (passed := time.perf_counter() - start) < seconds:
        tokens += read(next(batches))
        made += 1
    return {"tokensPerSecond": tokens / passed, "batchesPerSecond": made / passed}


def read_planes(planes) -> int:
    """→ real tokens."""
    return [int(plane.sum()) for plane in planes][1]


def read_tensors(batch) -> int:
    for tensor in batch.values():
        tensor.sum().item()
    return int((batch["input_ids"] != examples.pad).sum())


task, rival = sys.argv[1:3]
dataset, B, T = Path(sys.argv[3]), int(sys.argv[4]), int(sys.argv[5])
examples = Examples(dataset, T)
if task == "prove":
    told = prove_numpy(examples, B, T) if rival == "numpy" else prove_loader(examples, B, T, rival)
elif rival == "numpy":
    told = measure(numpy_batches(examples, B, T, 1), read_planes, float(sys.argv[6]))
else:
    told = measure(loader_batches(examples, B, T, 1, rival, int(sys.argv[7])), read_tensors, float(sys.argv[6]))
print(json.dumps(told))
