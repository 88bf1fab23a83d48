import json

import pyarrow as pa
import pytest
from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st
from pyarrow import parquet

from potstill.errors import UsageError
from potstill.records.read import read_records
from potstill.records.write import write_parquet, write_records

TEXT = st.text(st.characters(exclude_categories=["Cs"]))
VALUES = st.recursive(
    st.none()
    | st.booleans()
    | st.integers(-(2**60), 2**60)
    | st.floats(allow_nan=False, allow_infinity=False)
    | TEXT,
    lambda inner: st.lists(inner, max_size=3) | st.dictionaries(TEXT, inner, max_size=3),
    max_leaves=6,
)
ROWS = st.lists(
    st.fixed_dictionaries(
        {"id": st.integers(-(2**60), 2**60), "text": TEXT, "scores": st.lists(st.floats(allow_nan=False))}
    )
)


@pytest.mark.parametrize("suffix", [".jsonl", ".jsonl.gz", ".jsonl.zst"])
@settings(max_examples=30, suppress_health_check=[HealthCheck.function_scoped_fixture])
@given(records=st.lists(st.dictionaries(TEXT, VALUES)))
def test_jsonl_comes_back_as_it_was_written(tmp_path, suffix, records):
    path = tmp_path / f"a{suffix}"
    assert write_records(path, iter(records)) == len(records)
    assert list(read_records(path)) == records


@settings(max_examples=30, suppress_health_check=[HealthCheck.function_scoped_fixture])
@given(rows=ROWS.filter(bool))
def test_parquet_comes_back_as_it_was_written(tmp_path, rows):
    path = tmp_path / "a.parquet"
    schema = pa.schema({"id": pa.int64(), "text": pa.string(), "scores": pa.list_(pa.float64())})
    assert write_records(path, iter(rows), schema) == len(rows)
    assert list(read_records(path)) == rows


def test_parquet_is_streamed_in_row_groups_when_it_has_a_schema(tmp_path):
    path = tmp_path / "a.parquet"
    schema = pa.schema({"n": pa.int64()})
    assert write_parquet(path, ({"n": n} for n in range(10_000)), schema) == 10_000
    assert parquet.ParquetFile(path).num_row_groups == 3
    assert [record["n"] for record in read_records(path)] == list(range(10_000))


def test_parquet_without_a_schema_takes_what_the_records_hold(tmp_path):
    path = tmp_path / "a.parquet"
    write_parquet(path, [{"text": None, "score": 1.5}, {"text": "b", "score": 2.0}])
    assert list(read_records(path)) == [{"text": None, "score": 1.5}, {"text": "b", "score": 2.0}]


@pytest.mark.parametrize("name", ["a.jsonl", "a.jsonl.gz", "a.jsonl.zst", "a.parquet"])
def test_equal_records_give_equal_bytes(tmp_path, name):
    records = [{"text": f"row {n}", "score": n / 7} for n in range(500)]
    written = []
    for folder in ("one", "two"):
        path = tmp_path / folder / name
        write_records(path, records)
        written.append(path.read_bytes())
    assert written[0] == written[1]


@pytest.mark.parametrize("name", ["a.jsonl", "a.jsonl.gz", "a.jsonl.zst", "a.parquet"])
def test_a_write_that_fails_leaves_the_old_file(tmp_path, name):
    path = tmp_path / name
    write_records(path, [{"text": "old"}])

    def failing():
        yield {"text": "new"}
        raise KeyError("stopped")

    with pytest.raises(KeyError):
        write_records(path, failing())
    assert list(read_records(path)) == [{"text": "old"}]
    assert [file.name for file in tmp_path.iterdir()] == [name]


def test_numbers_that_json_has_not_are_refused(tmp_path):
    with pytest.raises(ValueError, match="Out of range"):
        write_records(tmp_path / "a.jsonl", [{"score": float("nan")}])


def test_a_suffix_that_is_only_read_is_refused(tmp_path):
    with pytest.raises(UsageError, match=r"written as \.jsonl"):
        write_records(tmp_path / "a.csv", [{"text": "a"}])


def test_the_order_of_keys_is_kept(tmp_path):
    path = tmp_path / "a.jsonl"
    write_records(path, [{"b": 1, "a": 2}])
    assert path.read_text() == json.dumps({"b": 1, "a": 2}) + "\n"
