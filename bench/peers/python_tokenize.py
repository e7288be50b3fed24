"""A tokenizer of Python's that makes passes over a text when asked: a rival of tokenize.ts.

    python python_tokenize.py nanotoken|tokenizers TOKENIZER_JSON THREADS TEXT

Speaks as src/text/timedProcess.ts expects. Of the ways to ask, each has the fastest found for plain ids [measured on 36 MB
of English, Python 3.11, two cores, MB/s]. nanotoken 0.1.0: the whole text as one document (one thread 169; the file by
itself 169; a document a line 114 from the file, 103 from a list; two threads 332). tokenizers 1.0.0rc3: the whole text in
one call, on one thread (30); stretches of a megabyte in one batch, on all cores whatever is asked for (56; lines 34).
"""
import json
import os
import resource
import sys
import time
from pathlib import Path

name, tokenizer_json, threads, file = sys.argv[1:]
os.environ["RAYON_NUM_THREADS"] = threads  # read when the library starts its pool
is_parallel = int(threads) > 1
data = Path(file).read_bytes()

if name == "nanotoken":
    import nanotoken

    tokenizer = nanotoken.Tokenizer(tokenizer_json)

    def encode():
        return tokenizer.encode_batch([data], add_special_tokens=False, parallel=is_parallel)[0]

    def count(ids) -> int:
        return len(ids)

    def write(ids, path: str) -> None:
        ids.tofile(path)

else:
    import tokenizers

    tokenizer = tokenizers.Tokenizer.from_file(tokenizer_json)
    text = data.decode("utf-8", "replace")

    def stretches(size: int = 1_000_000) -> list[str]:
        """Whole lines."""
        found, start = [], 0
        while start < len(text):
            end = text.find("\n", start + size) + 1 or len(text)
            found.append(text[start:end])
            start = end
        return found

    batch = stretches() if is_parallel else [text]

    def encode():
        if len(batch) == 1:
            return [tokenizer.encode(batch[0], add_special_tokens=False)]
        return tokenizer.encode_batch(batch, add_special_tokens=False)

    def count(encodings) -> int:
        return sum(map(len, encodings))

    def write(encodings, path: str) -> None:
        with open(path, "wb") as out:
            for encoding in encodings:
                encoding.ids_array.tofile(out)


def timed(times: int) -> dict:
    start, cpu = time.perf_counter(), time.process_time()
    for _ in range(times):
        ids = encode()
    seconds = (time.perf_counter() - start) / times
    cpu_seconds = (time.process_time() - cpu) / times
    peak = resource.getrusage(resource.RUSAGE_SELF).ru_maxrss * 1024
    tokens = count(ids)
    return {"seconds": seconds, "cpuSeconds": cpu_seconds, "bytes": len(data), "tokens": tokens, "peakResidentBytes": peak}


def answer(value: dict) -> None:
    print(json.dumps(value), flush=True)


answer({"ready": True})
for line in sys.stdin:
    command, value = line.rstrip("\n").split("\t")
    if command == "ids":
        write(encode(), value)
    answer(timed(int(value)) if command == "pass" else {})
