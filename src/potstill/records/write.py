"""Records to a file: the new file appears whole or not at all, and equal records give equal bytes."""

import itertools
import json
from collections.abc import Iterable, Mapping
from pathlib import Path
from typing import TYPE_CHECKING, Any

from potstill.errors import UsageError
from potstill.files import writing
from potstill.records.formats import Compression, require_format
from potstill.records.streams import compressing

if TYPE_CHECKING:
    import pyarrow as pa

_ROWS_A_GROUP = 4096


def write_records(path: Path, records: Iterable[Mapping[str, Any]], schema: "pa.Schema | None" = None) -> int:
    """Write JSONL (also .gz, .zst) or Parquet, by the suffix; the number of records written."""
    found = require_format(path)
    if found.kind == "jsonl":
        return write_jsonl(path, records, found.compression)
    if found.kind == "parquet":
        return write_parquet(path, records, schema)
    raise UsageError(f"{path}: records are written as .jsonl, .jsonl.gz, .jsonl.zst or .parquet.")


def write_jsonl(path: Path, records: Iterable[Mapping[str, Any]], compression: Compression = "none") -> int:
    """A line a record, keys in the order given; NaN is refused, for JSON has none."""
    count = 0
    with compressing(path, compression) as file:
        for record in records:
            line = json.dumps(dict(record), ensure_ascii=False, allow_nan=False)
            file.write(line.encode() + b"\n")
            count += 1
    return count


def write_parquet(path: Path, records: Iterable[Mapping[str, Any]], schema: "pa.Schema | None" = None) -> int:
    """Row groups of 4,096, zstd. With a schema records are streamed; without one all are held to infer it."""
    import pyarrow as pa
    from pyarrow import parquet

    remaining = iter(records)
    if schema is None:
        held = [dict(record) for record in remaining]
        schema, remaining = pa.Table.from_pylist(held).schema, iter(held)
    count = 0
    with writing(path) as file, parquet.ParquetWriter(file, schema, compression="zstd") as writer:
        while rows := [dict(record) for record in itertools.islice(remaining, _ROWS_A_GROUP)]:
            writer.write_table(pa.Table.from_pylist(rows, schema=schema))
            count += len(rows)
    return count
