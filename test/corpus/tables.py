"""Writes tables into the folder argv[1], and tables.json: of each file its column, and the rows that pyarrow wrote into it."""
import json
import random
import sys

import polars as pl
import pyarrow as pa
import pyarrow.parquet as pq

folder = sys.argv[1]
draw = random.Random(7)
pieces = ["a", "word", "中文", "é", "𠀀", "\n", "\r\n", " ", "[MASK]", "x" * 40]
written = []


def text(short=False):
    return "".join(draw.choice(pieces) for _ in range(draw.randrange(3 if short else 12)))


def rows(count, nulls=0.1, distinct=None):
    values = [text() for _ in range(distinct or count)]
    return [None if draw.random() < nulls else draw.choice(values) for _ in range(count)]


def note(name, kind, expected, column="text"):
    written.append({"file": name, "format": kind, "column": column, "rows": expected})
    return f"{folder}/{name}"


def parquet(name, expected, type=pa.string(), nullable=True, **options):
    schema = pa.schema([pa.field("id", pa.int64()), pa.field("text", type, nullable=nullable)])
    table = pa.table([range(len(expected)), pa.array(expected, type)], schema=schema)
    options = {"row_group_size": 90, "data_page_size": 500, "write_batch_size": 20} | options
    pq.write_table(table, note(f"{name}.parquet", "parquet", expected), **options)


for codec in ["none", "snappy", "gzip", "brotli", "zstd", "lz4"]:
    for dictionary in [False, True]:
        for version in ["1.0", "2.0"]:
            name = f"{codec}-{'dictionary' if dictionary else 'plain'}-{version}"
            expected = rows(400, distinct=30)
            parquet(name, expected, compression=codec, use_dictionary=dictionary, data_page_version=version)
for encoding in ["DELTA_LENGTH_BYTE_ARRAY", "DELTA_BYTE_ARRAY"]:
    for version in ["1.0", "2.0"]:
        options = {"use_dictionary": False, "column_encoding": {"text": encoding}, "data_page_version": version}
        parquet(f"{encoding}-{version}", sorted(rows(300, nulls=0)) + rows(50), **options)
parquet("large", rows(200), pa.large_string())
parquet("required", rows(200, nulls=0), nullable=False)
parquet("required-2", rows(200, nulls=0), nullable=False, data_page_version="2.0")
parquet("all-null", [None] * 150)
parquet("one-value", ["the same"] * 150)
parquet("no-rows", [])
parquet("dictionary-then-plain", rows(400), dictionary_pagesize_limit=300)
parquet("checksums", rows(400), write_page_checksum=True, write_statistics=False, compression="none", use_dictionary=False)
parquet("one-group", rows(500), row_group_size=1000)
expected = rows(300)
pl.DataFrame({"text": expected}).write_parquet(note("polars.parquet", "parquet", expected), row_group_size=100)
parquet("small", rows(60), row_group_size=20)
long = ["short", "ab\n" * 1_000_000, "c" * 9_000_000, "d" * 3_000_000, "", "e\n" * 1_000_000]
parquet("long", long, row_group_size=10, compression="zstd")

meta = [None if draw.random() < 0.2 else {"n": i, "inner": None if draw.random() < 0.2 else {"text": r, "k": 1}} for i, r in enumerate(rows(300))]
inner = pa.struct([("text", pa.string()), ("k", pa.int8())])
nested = pa.table({"text": pa.array(range(300)), "meta": pa.array(meta, pa.struct([("n", pa.int32()), ("inner", inner)]))})
nested_rows = [((m or {}).get("inner") or {}).get("text") for m in meta]
for version in ["1.0", "2.0"]:
    file = note(f"nested-{version}.parquet", "parquet", nested_rows, "meta.inner.text")
    pq.write_table(nested, file, row_group_size=110, data_page_version=version)


def arrow(name, table, expected, column="text", kind="stream", size=90, **options):
    file = note(f"{name}.arrow", "arrow", expected, column)
    options = pa.ipc.IpcWriteOptions(**options)
    new = pa.ipc.new_stream if kind == "stream" else pa.ipc.new_file
    with pa.OSFile(file, "wb") as sink, new(sink, table.schema, options=options) as writer:
        for part in table if isinstance(table, list) else [table]:
            writer.write_table(part, max_chunksize=size)


def beside(array):
    """The column behind, and before, columns of every layout."""
    n = len(array)
    return pa.table({
        "bits": pa.array([i % 3 == 0 for i in range(n)]),
        "nothing": pa.nulls(n),
        "views": pa.array([text() * 3 if i % 5 else None for i in range(n)], pa.string_view()),
        "lists": pa.array([[text(True)] * (i % 3) for i in range(n)]),
        "fixed": pa.array([[i, 1] for i in range(n)], pa.list_(pa.int16(), 2)),
        "map": pa.array([[("a", i)] for i in range(n)], pa.map_(pa.string(), pa.int32())),
        "dictionary": pa.array([text(True) for i in range(n)]).dictionary_encode(),
        "bytes": pa.array([b"12345678901234567890" for i in range(n)], pa.binary_view()),
        "struct": pa.array([{"a": text(), "b": i} for i in range(n)]),
        "large": pa.array([b"ab"] * n, pa.large_binary()),
        "text": array,
        "after": pa.array([text() for i in range(n)]),
    })


types = {"string": pa.string(), "large": pa.large_string(), "view": pa.string_view()}
for kind in ["file", "stream"]:
    for compression in [None, "lz4", "zstd"]:
        for type_name, type in types.items():
            expected = rows(250)
            arrow(f"{type_name}-{kind}-{compression}", beside(pa.array(expected, type)), expected, kind=kind, compression=compression)
        expected = rows(250, distinct=20)
        coded = pa.array(expected).dictionary_encode()
        arrow(f"dictionary-{kind}-{compression}", beside(coded), expected, kind=kind, compression=compression)
    arrow(f"nested-{kind}", nested, nested_rows, "meta.inner.text", kind=kind, size=70)
    expected = rows(120)
    arrow(f"sliced-{kind}", beside(pa.array(rows(50) + expected)).slice(50), expected, kind=kind, size=31)
    arrow(f"no-rows-{kind}", beside(pa.array([], pa.string())), [], kind=kind)
arrow("long-stream", pa.table({"text": long}), long)
expected = rows(60)
arrow("small-file", pa.table({"text": expected}), expected, kind="file", size=20)
arrow("small-stream", pa.table({"text": expected}), expected, size=20)
arrow("legacy", pa.table({"text": expected}), expected, use_legacy_format=True)
for index in [pa.int8(), pa.uint8(), pa.int16(), pa.uint16(), pa.int64()]:
    expected = rows(100, distinct=90)
    values = sorted({row for row in expected if row is not None})
    codes = pa.array([None if row is None else values.index(row) for row in expected], index)
    arrow(f"places-{index}", pa.table({"text": pa.DictionaryArray.from_arrays(codes, pa.array(values, pa.large_string()))}), expected)
codes = pa.array([0, 1, 2, None, 1], pa.int32())
arrow("null-in-dictionary", pa.table({"text": pa.DictionaryArray.from_arrays(codes, pa.array(["a", None, "c"]))}), ["a", None, "c", None, None])
# Each batch has a dictionary of its own, or adds to the one before.
for name, dictionaries, deltas in [("replaced", [["a", "b"], ["c"], ["d", "e"]], False), ("deltas", [["a", "b"], ["a", "b", "c"], ["a", "b", "c", "d"]], True)]:
    batches = [pa.record_batch({"text": pa.DictionaryArray.from_arrays(pa.array([0, len(d) - 1]), pa.array(d))}) for d in dictionaries]
    expected = [row for d in dictionaries for row in (d[0], d[-1])]
    file = note(f"{name}.arrow", "arrow", expected)
    with pa.OSFile(file, "wb") as sink, pa.ipc.new_stream(sink, batches[0].schema, options=pa.ipc.IpcWriteOptions(emit_dictionary_deltas=deltas)) as writer:
        for batch in batches:
            writer.write_batch(batch)
expected = rows(250)
pl.DataFrame({"text": expected}).write_ipc(note("polars.arrow", "arrow", expected))
with open(f"{folder}/tables.json", "w") as out:
    json.dump(written, out)
