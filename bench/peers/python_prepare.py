"""Text → token shards by Hugging Face datasets: a rival of prepare.ts. Needs the environment of install.sh.

    python python_prepare.py RIVAL PROCESSES TOKENIZER_FOLDER TEXT     maps every line of TEXT to its ids, once
    python python_prepare.py shards DATASET                            reads the shards that galvani made

Prints a line of JSON with `seconds`, those of `map` alone (imports and the reading of the text into Arrow before it are
left out), then, as for shards, one with `documents`, `tokens` and a digest of lengths and ids: of lines that have ids.

RIVAL is `transformers`: its fast tokenizer, in batches, as its documentation shows; `nanotoken`: the same with its lists;
or `nanotoken-arrow`: Arrow tables in and out with no Python object an id between, the fastest form found [MB/s on one
core, English: 60 in batches of 10,000 lines, 50 of 1,000; with lists 24; transformers 2.2].
More processes are `num_proc`.
"""
import hashlib
import json
import os
import sys
import tempfile
import time
from pathlib import Path

import numpy as np
import pyarrow as pa


def digest(chunks) -> dict:
    """Of list columns."""
    documents = tokens = 0
    of_lengths, of_ids = hashlib.sha256(), hashlib.sha256()
    for chunk in chunks:
        lengths = np.diff(chunk.offsets.to_numpy()).astype(np.uint32)
        lengths = lengths[lengths > 0]
        ids = chunk.flatten().to_numpy().astype(np.uint32)
        of_lengths.update(lengths.tobytes())
        of_ids.update(ids.tobytes())
        documents += len(lengths)
        tokens += len(ids)
    both = f"{of_lengths.hexdigest()} {of_ids.hexdigest()}"
    return {"documents": documents, "tokens": tokens, "digest": both}


def answer(value: dict) -> None:
    print(json.dumps(value), flush=True)


if sys.argv[1] == "shards":
    files = sorted(Path(sys.argv[2]).glob("shard-*.arrow"))
    tables = (pa.ipc.open_file(pa.memory_map(str(file))).read_all() for file in files)
    answer(digest(chunk for table in tables for chunk in table["input_ids"].chunks))
    sys.exit()

rival, processes, tokenizer_folder, text = sys.argv[1:]
# Read when the libraries are loaded: nothing is looked up, and a process is one thread.
os.environ.update(HF_HUB_OFFLINE="1", TRANSFORMERS_VERBOSITY="error", TOKENIZERS_PARALLELISM="false")
import datasets

datasets.disable_progress_bars()
if rival == "transformers":
    from transformers import AutoTokenizer

    tokenizer = AutoTokenizer.from_pretrained(tokenizer_folder)
else:
    import nanotoken

    tokenizer = nanotoken.Tokenizer(f"{tokenizer_folder}/tokenizer.json")


# What the three refer to is global: nanotoken's tokenizer cannot be pickled, and so forked processes just have it.
def by_transformers(batch):
    given = {"return_attention_mask": False, "return_token_type_ids": False, "add_special_tokens": False}
    return {"input_ids": tokenizer(batch["text"], **given)["input_ids"]}


def by_nanotoken(batch):
    return {"input_ids": tokenizer.encode_batch_list(batch["text"], add_special_tokens=False, parallel=False)}


def by_nanotoken_in_tables(table):
    found = tokenizer.encode_batch(table["text"].to_pylist(), add_special_tokens=False, parallel=False)
    offsets = pa.array(np.asarray(found.offsets).astype(np.int32))
    ids = pa.array(np.asarray(found.ids).astype(np.uint16))
    return pa.table({"input_ids": pa.ListArray.from_arrays(offsets, ids)})


with tempfile.TemporaryDirectory() as cache:
    lines = datasets.load_dataset("text", data_files=text, cache_dir=cache, split="train")
    settings = {"batched": True, "remove_columns": ["text"], "load_from_cache_file": False}
    if int(processes) > 1:
        settings["num_proc"] = int(processes)
    start = time.perf_counter()
    if rival == "nanotoken-arrow":
        features = datasets.Features({"input_ids": datasets.List(datasets.Value("uint16"))})
        tables = lines.with_format("arrow")
        mapped = tables.map(by_nanotoken_in_tables, batch_size=10_000, features=features, **settings)
    else:
        mapped = lines.map(by_transformers if rival == "transformers" else by_nanotoken, **settings)
    answer({"seconds": time.perf_counter() - start})
    answer(digest(mapped.data.column("input_ids").chunks))
